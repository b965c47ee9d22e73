//! Uses the stores for web frameworks behind their middleware.

use actix_session::storage::{SessionKey as CookieKey, SessionStore as _};
use actix_session::{Session as ActixSession, SessionMiddleware};
use actix_web::cookie::{Cookie, Key};
use actix_web::{App, test as actix_test, web};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::routing::get;
use diesel::prelude::*;
use diesel::sql_query;
use diesel_session::{
    ActixSessionStore, AsyncBuilder, AsyncDieselSession, ConnectOptions, TowerSessionStore,
};
use time::{Duration, OffsetDateTime};
use tower::ServiceExt as _;
use tower_sessions::session::{Id, Record};
use tower_sessions::{Session, SessionManagerLayer};

use crate::operations::remember_hashed;
use crate::support::Postgres;
use crate::waiting::runtime;
use crate::{OWNER, VALUE};

pub(crate) fn every_operation(options: &ConnectOptions) {
    let beside = Postgres::builder().schema("hashed").connect_with(options).unwrap();
    let mut conn = beside.pool().get().unwrap();
    runtime().block_on(async {
        let settings = AsyncBuilder::default();
        let store = settings.schema("hashed").connect_with(options).await.unwrap();
        behind_tower_sessions(&store, &mut conn).await;
        behind_actix_session(&store, &mut conn).await;
    });
}

/// Gives the session data of another shape.
fn spoil(conn: &mut PgConnection) {
    let spoilt =
        "UPDATE session SET session_data = '{\"user\": \"battery-staple' WHERE session_data LIKE '{%'";
    assert!(sql_query(spoilt).execute(conn).unwrap() > 0);
}

async fn behind_tower_sessions(store: &AsyncDieselSession, conn: &mut PgConnection) {
    let store = TowerSessionStore::new(store.clone())
        .owner_from("user")
        .on_error(|error| println!("{}", crate::support::shown(error)));
    println!("{store:?}");
    let app = Router::new()
        .route(
            "/put",
            get(async |session: Session| {
                let put = session.insert("value", VALUE).await.and(session.insert("user", OWNER).await);
                put.is_ok().to_string()
            }),
        )
        .route("/renew", get(async |session: Session| session.cycle_id().await.is_ok().to_string()))
        .route("/look", get(async |session: Session| session.get::<u32>("value").await.is_ok().to_string()))
        .route("/leave", get(async |session: Session| session.flush().await.is_ok().to_string()))
        .layer(SessionManagerLayer::new(store.clone()));
    let mut cookie = String::new();
    for path in ["/put", "/look", "/renew", "/put", "/spoil", "/look", "/renew", "/put", "/leave", "/look"] {
        if path == "/spoil" {
            spoil(conn);
            continue;
        }
        let request = Request::builder().uri(path).header(header::COOKIE, &cookie).body(Body::empty());
        let response = app.clone().oneshot(request.unwrap()).await.unwrap();
        println!("{path}: {}", response.status());
        if let Some(set) = response.headers().get(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            let pair = set.split(';').next().unwrap();
            let id = pair.strip_prefix("id=").unwrap();
            if let Ok(id) = id.parse() {
                remember_id(&store, &id);
            }
            pair.clone_into(&mut cookie);
        }
    }
    importing(&store).await;
}

fn remember_id(store: &TowerSessionStore<AsyncDieselSession>, id: &Id) {
    remember_hashed(&id.to_string());
    // The id's `Debug` shows a number.
    remember_hashed(&id.0.to_string());
    remember_hashed(store.key(id).as_str());
}

async fn importing(store: &TowerSessionStore<AsyncDieselSession>) {
    let record = |value: String| {
        let fields = [("value", value), ("user", OWNER.to_owned())];
        let data = fields.map(|(name, text)| (name.to_owned(), text.into())).into();
        let record =
            Record { id: Id::default(), data, expiry_date: OffsetDateTime::now_utc() + Duration::HOUR };
        remember_id(store, &record.id);
        record
    };
    let records = [record(VALUE.to_owned()), record(VALUE.repeat(1 << 17))];
    for _ in 0..2 {
        println!("import: {:?}", store.import(&records).await);
    }
}

async fn behind_actix_session(store: &AsyncDieselSession, conn: &mut PgConnection) {
    let store = ActixSessionStore::new(store.clone()).owner_from("user");
    println!("{store:?}");
    let key = Key::generate();
    let middleware = SessionMiddleware::builder(store.clone(), key.clone()).cookie_secure(false).build();
    let app = App::new()
        .wrap(middleware)
        .route(
            "/put",
            web::get().to(async |session: ActixSession| {
                session.insert("value", VALUE).unwrap();
                session.insert("user", OWNER).unwrap();
                "put"
            }),
        )
        .route(
            "/look",
            web::get().to(async |session: ActixSession| session.get::<u32>("value").is_ok().to_string()),
        )
        .route(
            "/renew",
            web::get().to(async |session: ActixSession| {
                session.renew();
                "renewed"
            }),
        )
        .route(
            "/leave",
            web::get().to(async |session: ActixSession| {
                session.purge();
                "left"
            }),
        );
    let app = actix_test::init_service(app).await;
    let mut cookie: Option<Cookie<'static>> = None;
    for path in ["/put", "/look", "/renew", "/put", "/spoil", "/look", "/put", "/leave", "/look"] {
        if path == "/spoil" {
            spoil(conn);
            continue;
        }
        let mut request = actix_test::TestRequest::get().uri(path);
        if let Some(cookie) = &cookie {
            request = request.cookie(cookie.clone());
        }
        match actix_test::try_call_service(&app, request.to_request()).await {
            Ok(response) => {
                println!("{path}: {}", response.status());
                if let Some(set) = response.response().cookies().next() {
                    cookie = Some(set.clone().into_owned());
                    let mut jar = actix_web::cookie::CookieJar::new();
                    jar.add_original(set.into_owned());
                    if let Some(plain) = jar.private(&key).get("id") {
                        remember_hashed(plain.value());
                    }
                }
            }
            Err(error) => println!("{path}: {error} {error:?}"),
        }
    }
    let spoilt = store.save([("value".to_owned(), VALUE.to_owned())].into(), &Duration::hours(1)).await;
    let spoilt = spoilt.unwrap();
    remember_hashed(spoilt.as_ref());
    let key: CookieKey = spoilt;
    println!("{:?}", store.load(&key).await.map(drop).is_ok());
}
