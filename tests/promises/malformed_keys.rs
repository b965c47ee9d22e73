//! A malformed key costs no query, however many arrive. The server's log proves it.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::{Duration, Instant};

use actix_session::storage::{SessionKey as CookieKey, SessionStore as _};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::routing::get;
use diesel_session::{
    ActixSessionStore, AsyncDieselSession, Error, SessionHandle, SessionKey, TowerSessionStore, WebStore,
};
use throwaway_postgres::Server;
use tower::ServiceExt as _;
use tower_sessions::session::Id;
use tower_sessions::{Session, SessionManagerLayer};

use crate::properties::corpus;
use crate::waiting::runtime;

const MANY: usize = 100_000;

/// Returns texts that are not keys of this length. Those of the corpus come first. The others are wrong in one place:
/// too long, too short, or with one character outside the alphabet.
fn malformed<Key: FromStr>(length: usize) -> impl Iterator<Item = String> {
    let wrong = ['-', '_', '=', ' ', '\'', '"', ';', '\\', '%', '$', '\0', '\n', 'é', '٣', '\u{202e}'];
    let made = (0..).map(move |number: usize| {
        // The last of 22 characters carries two bits, and in an A neither is set.
        let mut text = format!("{number:0>width$x}A", width = length - 1);
        assert!(text.parse::<Key>().is_ok(), "{text}");
        match number % 3 {
            0 => text.push('0'),
            1 => drop(text.pop()),
            _ => {
                let at = number / 3 % length;
                let character = wrong[number / 3 % wrong.len()].to_string();
                text.replace_range(at..=at, &character);
            }
        }
        text
    });
    corpus("keys").into_iter().chain(made).filter(|text| text.parse::<Key>().is_err())
}

/// Counts the statements in the log after its first `before` characters. The log has every statement.
fn statements(server: &Server, before: usize) -> usize {
    let log = server.log().unwrap().split_off(before);
    log.matches("LOG:  statement: ").count() + log.matches("LOG:  execute ").count()
}

/// Makes a store whose server logs every statement. Also returns the length of the log so far.
async fn watched() -> (Server, AsyncDieselSession, usize) {
    let server = Server::start(&["log_statement=all", "log_checkpoints=off", "autovacuum=off"]).unwrap();
    let store = AsyncDieselSession::builder().pool_size(1).connect(&server.url("postgres")).await.unwrap();
    store.migrate().await.unwrap();
    let before = server.log().unwrap().len();
    assert!(before > 0, "the server logs nothing");
    (server, store, before)
}

#[test]
fn a_hundred_thousand_malformed_keys_cost_no_query_behind_actix_session() {
    runtime().block_on(async {
        let (server, sessions, before) = watched().await;
        let store = ActixSessionStore::new(sessions);
        let hour = time::Duration::hours(1);
        let mut tried = 0;
        for text in malformed::<SessionKey>(40).take(MANY) {
            assert!(matches!(text.parse::<SessionKey>(), Err(Error::NotFound)), "{text}");
            assert!(matches!(SessionKey::try_from(text.as_str()), Err(Error::NotFound)), "{text}");
            // actix-session itself accepts any text of up to 4,064 bytes.
            let key = || CookieKey::try_from(text.clone()).unwrap();
            assert!(store.load(&key()).await.unwrap().is_none(), "{text}");
            let state = HashMap::from([("planted".to_owned(), "1".to_owned())]);
            assert!(store.update(key(), state, &hour).await.is_err(), "{text}");
            store.update_ttl(&key(), &hour).await.unwrap();
            store.delete(&key()).await.unwrap();
            tried += 1;
        }
        assert_eq!(tried, MANY);
        assert_eq!(statements(&server, before), 0, "statements in the log");
        // The log would have shown a query.
        let well_formed = CookieKey::try_from("k".repeat(40)).unwrap();
        assert!(store.load(&well_formed).await.unwrap().is_none());
        assert_eq!(statements(&server, before), 1, "statements in the log");
    });
}

#[test]
fn a_hundred_thousand_malformed_cookies_cost_no_query_behind_tower_sessions() {
    runtime().block_on(async {
        let (server, sessions, before) = watched().await;
        let app = reading(TowerSessionStore::new(sessions));
        // The layer has its own ids: 22 characters of base64. A text that a header cannot hold never arrives.
        let cookies = malformed::<Id>(22);
        let cookies = cookies.filter_map(|text| HeaderValue::from_str(&format!("id={text}")).ok());
        let mut tried = 0;
        for cookie in cookies.take(MANY) {
            assert_eq!(visit(&app, cookie).await, StatusCode::OK);
            tried += 1;
        }
        assert_eq!(tried, MANY);
        assert_eq!(statements(&server, before), 0, "statements in the log");
        let id = Id::default();
        assert_eq!(visit(&app, HeaderValue::from_str(&format!("id={id}")).unwrap()).await, StatusCode::OK);
        assert_eq!(statements(&server, before), 1, "statements in the log");
    });
}

/// Makes an application that reads a field of the session, and so loads it.
fn reading<S: WebStore>(store: TowerSessionStore<S>) -> Router {
    let look = async |session: Session| session.get::<String>("user").await.unwrap().unwrap_or_default();
    Router::new().route("/", get(look)).layer(SessionManagerLayer::new(store))
}

async fn visit(app: &Router, cookie: HeaderValue) -> StatusCode {
    let request = Request::builder().uri("/").header(header::COOKIE, cookie).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap().status()
}

#[test]
fn ten_megabytes_of_a_key_or_a_cookie_are_answered_at_once() {
    runtime().block_on(async {
        let (server, sessions, before) = watched().await;
        let long = "a".repeat(10 << 20);
        let started = Instant::now();
        assert!(matches!(long.parse::<SessionHandle>(), Err(Error::NotFound)));
        assert!(CookieKey::try_from(long.clone()).is_err());
        let app = reading(TowerSessionStore::new(sessions));
        let cookie = HeaderValue::from_str(&format!("id={long}")).unwrap();
        assert_eq!(visit(&app, cookie).await, StatusCode::OK);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(statements(&server, before), 0, "statements in the log");
    });
}
