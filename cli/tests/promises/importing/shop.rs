//! An application with axum, before and after the change of its store.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// What the application keeps of a visitor.
pub(crate) fn fields(user: u32) -> Vec<(&'static str, Value)> {
    let cart = json!([{ "title": "Ångström \u{1f9ea}\u{0}", "price": 12.5, "left": -1, "gift": null }, true]);
    vec![("user_id", json!(user)), ("cart", cart), ("seen", json!(u64::MAX))]
}

/// Makes the application for one version of tower-sessions.
macro_rules! shop {
    ($when:ident, $tower_sessions:ident) => {
        pub(crate) mod $when {
            use axum::extract::Path;
            use axum::routing::get;
            use axum::{Json, Router};
            use serde_json::Value;
            use $tower_sessions::{Session, SessionManagerLayer, SessionStore};

            use super::fields;

            async fn sign_in(session: Session, Path(user): Path<u32>) {
                for (field, value) in fields(user) {
                    session.insert(field, value).await.unwrap();
                }
            }

            async fn look(session: Session) -> Json<Vec<Option<Value>>> {
                let mut found = Vec::new();
                for (field, _) in fields(0) {
                    found.push(session.get(field).await.unwrap());
                }
                Json(found)
            }

            async fn sign_out(session: Session) {
                session.flush().await.unwrap();
            }

            pub(crate) fn shop<S: SessionStore + Clone>(store: S) -> Router {
                Router::new()
                    .route("/sign-in/{user}", get(sign_in))
                    .route("/look", get(look))
                    .route("/sign-out", get(sign_out))
                    .layer(SessionManagerLayer::new(store))
            }
        }
    };
}
shop!(before, tower_sessions_0_14);
shop!(after, tower_sessions);

/// Sends a request. Returns the new cookie, if any, and the body.
async fn visit(shop: &Router, path: &str, cookie: &str) -> (Option<String>, String) {
    let request = Request::builder().uri(path).header(header::COOKIE, cookie).body(Body::empty()).unwrap();
    let response = shop.clone().oneshot(request).await.unwrap();
    assert!(response.status().is_success(), "{path}: {}", response.status());
    let cookie = response.headers().get(header::SET_COOKIE);
    let cookie = cookie.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (cookie, String::from_utf8(body.to_vec()).unwrap())
}

/// Returns the visitor's cookie.
pub(crate) async fn sign_in(shop: &Router, user: u32) -> String {
    visit(shop, &format!("/sign-in/{user}"), "").await.0.unwrap()
}

/// Whether the cookie is that of the user, with all that the application keeps.
pub(crate) async fn is_signed_in(shop: &Router, cookie: &str, user: u32) -> bool {
    let expected: Vec<_> = fields(user).into_iter().map(|(_, value)| Some(value)).collect();
    let found: Vec<Option<Value>> = serde_json::from_str(&visit(shop, "/look", cookie).await.1).unwrap();
    assert!(found == expected || found.iter().all(Option::is_none), "{found:?}");
    found == expected
}

pub(crate) async fn sign_out(shop: &Router, cookie: &str) {
    visit(shop, "/sign-out", cookie).await;
}
