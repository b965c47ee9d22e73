//! The store behind actix-session: what that crate's own acceptance tests ask, and what they do not.

use std::collections::HashMap;

use actix_http::Request;
use actix_session::config::PersistentSession;
use actix_session::storage::{LoadError, SessionKey as CookieKey, SessionStore, UpdateError};
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, Key};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::{App, test as actix_test, web};
use chrono::TimeDelta;
use diesel_session::{
    ActixSessionStore, AsyncNow, Blocking, DieselSession, SessionConnection, SessionKey, Sessions, Vanished,
};
use throwaway_postgres::Server;

use crate::support::{File, Make, Postgres, Sql, laws_on_both_databases};
use crate::waiting::runtime;

type Store<C> = ActixSessionStore<Blocking<DieselSession<C>>>;
const HOUR: Duration = Duration::hours(1);

fn over<C: SessionConnection>(store: &DieselSession<C>) -> Store<C> {
    ActixSessionStore::new(Blocking::from(store.clone()))
}

/// A state as the middleware has it: JSON texts by name.
fn state(entries: &[(&str, &str)]) -> HashMap<String, String> {
    entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn cookie_key(text: &str) -> CookieKey {
    text.to_owned().try_into().unwrap()
}

/// Another of the same text: the crate's own cannot be cloned.
fn again(key: &CookieKey) -> CookieKey {
    cookie_key(key.as_ref())
}

fn ours(key: &CookieKey) -> SessionKey {
    key.as_ref().parse().unwrap()
}

laws_on_both_databases! {
    a_state_that_was_saved_is_loaded_and_updated
    what_is_no_session_is_none_and_becomes_none
    a_deleted_session_is_gone_and_stays_gone
    a_state_is_dead_when_its_time_is_over
    a_prolongation_never_shortens_and_never_makes_a_session
    the_longest_lifetime_survives_a_renewal
    all_sessions_of_a_user_can_be_ended_but_one
    a_state_of_another_shape_is_an_error_that_shows_nothing
    keys_are_this_crates_and_no_two_are_alike
}

async fn a_state_that_was_saved_is_loaded_and_updated<C: SessionConnection>(make: Make<'_, C>) {
    let store = over(&make(DieselSession::builder()));
    let begun = state(&[("cart", "3"), ("name", "\"Ann\"")]);
    let key = store.save(begun.clone(), &HOUR).await.unwrap();
    assert_eq!(store.load(&key).await.unwrap().unwrap(), begun);
    let changed = state(&[("cart", "5")]);
    let same = store.update(again(&key), changed.clone(), &HOUR).await.unwrap();
    assert_eq!(same, key);
    assert_eq!(store.load(&key).await.unwrap().unwrap(), changed);
}

async fn what_is_no_session_is_none_and_becomes_none<C: SessionConnection>(make: Make<'_, C>) {
    let sessions = make(DieselSession::builder());
    let store = over(&sessions);
    for text in ["", "garbage", &"k".repeat(40), &"k".repeat(4_000), "'; DROP TABLE session; --"] {
        let key = cookie_key(text);
        assert!(store.load(&key).await.unwrap().is_none(), "{text}");
        let updated = store.update(again(&key), state(&[("planted", "1")]), &HOUR).await;
        assert!(matches!(updated, Err(UpdateError::Other(_))), "{text}");
        store.update_ttl(&key, &HOUR).await.unwrap();
        store.delete(&key).await.unwrap();
        assert!(store.load(&key).await.unwrap().is_none(), "{text}");
    }
    assert_eq!(sessions.count().unwrap().live, 0);
}

async fn a_deleted_session_is_gone_and_stays_gone<C: SessionConnection>(make: Make<'_, C>) {
    let sessions = make(DieselSession::builder());
    for vanished in [Vanished::Reject, Vanished::Ignore] {
        let store = over(&sessions).vanished(vanished);
        let key = store.save(state(&[("user", "1")]), &HOUR).await.unwrap();
        store.delete(&key).await.unwrap();
        store.delete(&key).await.unwrap();
        // A request that had loaded it before the logout ends only now.
        let late = store.update(again(&key), state(&[("user", "1"), ("seen", "1")]), &HOUR).await;
        match vanished {
            Vanished::Ignore => assert_eq!(late.unwrap(), key),
            _ => assert!(matches!(late, Err(UpdateError::Other(_)))),
        }
        store.update_ttl(&key, &HOUR).await.unwrap();
        assert!(store.load(&key).await.unwrap().is_none());
        assert_eq!(sessions.count().unwrap().live, 0, "under no key");
    }
}

async fn a_state_is_dead_when_its_time_is_over<C: SessionConnection>(make: Make<'_, C>) {
    let sessions = make(DieselSession::builder());
    let store = over(&sessions);
    let key = store.save(state(&[("cart", "3")]), &HOUR).await.unwrap();
    let (_value, left) = Blocking::from(sessions).get(&ours(&key)).await.unwrap();
    assert!(left <= TimeDelta::hours(1) && left > TimeDelta::minutes(59), "{left}");
    store.update(again(&key), state(&[("cart", "3")]), &Duration::ZERO).await.unwrap();
    assert!(store.load(&key).await.unwrap().is_none());
}

async fn a_prolongation_never_shortens_and_never_makes_a_session<C: SessionConnection>(make: Make<'_, C>) {
    let sessions = make(DieselSession::builder());
    let store = over(&sessions);
    let left = || sessions.sessions_of("1").unwrap()[0].expires - chrono::Utc::now();
    let store = store.owner_from("user");
    let key = store.save(state(&[("user", "1")]), &HOUR).await.unwrap();
    store.update_ttl(&key, &Duration::minutes(5)).await.unwrap();
    assert!(left() > TimeDelta::minutes(50));
    store.update_ttl(&key, &Duration::hours(3)).await.unwrap();
    assert!(left() > TimeDelta::minutes(170));
    assert_eq!(store.load(&key).await.unwrap().unwrap()["user"], "1");
}

/// `Session::renew` deletes, and saves what it had.
async fn the_longest_lifetime_survives_a_renewal<C: SessionConnection>(make: Make<'_, C>) {
    let sessions = make(DieselSession::builder().max_lifetime(TimeDelta::minutes(30)));
    let store = over(&sessions).owner_from("user");
    let old = store.save(state(&[("user", "\"alice\"")]), &HOUR).await.unwrap();
    let mut loaded = store.load(&old).await.unwrap().unwrap();
    let created: i64 = loaded["diesel-session.created"].parse().unwrap();
    // As if it had begun twenty minutes earlier.
    loaded.insert("diesel-session.created".to_owned(), (created - 20 * 60_000).to_string());
    store.delete(&old).await.unwrap();
    let new = store.save(loaded, &HOUR).await.unwrap();
    assert_ne!(new, old);
    let listed = sessions.sessions_of("alice").unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].expires - listed[0].created <= TimeDelta::minutes(30));
    assert!((listed[0].created.timestamp_millis() - (created - 20 * 60_000)).abs() < 20);
}

async fn all_sessions_of_a_user_can_be_ended_but_one<C: SessionConnection>(make: Make<'_, C>) {
    let sessions = make(DieselSession::builder());
    let store = over(&sessions).owner_from("user");
    let phone = store.save(state(&[("user", "\"alice\"")]), &HOUR).await.unwrap();
    let laptop = store.save(state(&[]), &HOUR).await.unwrap();
    let laptop = store.update(laptop, state(&[("user", "\"alice\"")]), &HOUR).await.unwrap();
    let other = store.save(state(&[("user", "7")]), &HOUR).await.unwrap();
    assert_eq!(sessions.clear_owner("alice", Some(&ours(&laptop))).unwrap(), 1);
    assert!(store.load(&phone).await.unwrap().is_none());
    assert!(store.load(&laptop).await.unwrap().is_some());
    assert_eq!(sessions.owner_of(&ours(&other)).unwrap().as_deref(), Some("7"));
    let nobodys = store.save(state(&[("user", "[1]")]), &HOUR).await;
    assert!(nobodys.unwrap_err().to_string().contains("serialize"));
}

async fn a_state_of_another_shape_is_an_error_that_shows_nothing<C: SessionConnection>(make: Make<'_, C>) {
    let sessions = make(DieselSession::builder());
    let store = over(&sessions);
    let key = store.save(state(&[("cart", "3")]), &HOUR).await.unwrap();
    Blocking::from(sessions).set(&ours(&key), "hunter2".to_owned(), None).await.unwrap();
    let error = store.load(&key).await.unwrap_err();
    assert!(matches!(error, LoadError::Deserialization(_)));
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    store.delete(&key).await.unwrap();
    assert!(store.load(&key).await.unwrap().is_none());
}

async fn keys_are_this_crates_and_no_two_are_alike<C: SessionConnection>(make: Make<'_, C>) {
    let store = over(&make(DieselSession::builder()));
    let one = store.save(state(&[]), &HOUR).await.unwrap();
    let two = store.save(state(&[]), &HOUR).await.unwrap();
    assert_ne!(one, two);
    assert_eq!(one.as_ref().len(), SessionKey::LENGTH);
}

/// What is malformed costs no query: seen from the server.
#[test]
fn a_malformed_key_costs_no_query() {
    let server = Server::start(&["log_min_duration_statement=0"]).unwrap();
    let sessions = Postgres::builder().pool_size(1).connect(&server.url("postgres")).unwrap();
    sessions.migrate().unwrap();
    let store = over(&sessions);
    let before = server.log().unwrap().len();
    runtime().block_on(async {
        for text in ["", "garbage", &"x".repeat(4_000), &format!("{}!", "k".repeat(39))] {
            let key = cookie_key(text);
            assert!(store.load(&key).await.unwrap().is_none());
            store.update_ttl(&key, &HOUR).await.unwrap();
            store.delete(&key).await.unwrap();
        }
    });
    assert_eq!(&server.log().unwrap()[before..], "");
}

async fn count(session: Session) -> String {
    let count = session.get::<u32>("count").unwrap().unwrap_or(0) + 1;
    session.insert("count", count).unwrap();
    count.to_string()
}

async fn log_in(session: Session, user: web::Path<String>) -> String {
    session.renew();
    session.insert("user", user.into_inner()).unwrap();
    "welcome".to_owned()
}

async fn log_out(session: Session) -> String {
    session.purge();
    "bye".to_owned()
}

/// A browser's visit: the status, what it says, and the cookie afterwards.
async fn visit<B: actix_web::body::MessageBody>(
    app: &impl Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    path: &str,
    cookie: &mut Option<Cookie<'static>>,
) -> (StatusCode, String) {
    let mut request = actix_test::TestRequest::with_uri(path);
    if let Some(cookie) = cookie.clone() {
        request = request.cookie(cookie);
    }
    let response = actix_test::call_service(app, request.to_request()).await;
    if let Some(set) = response.response().cookies().find(|set| set.name() == "id") {
        let is_removal = set.max_age() == Some(Duration::ZERO) || set.value().is_empty();
        *cookie = (!is_removal).then(|| set.into_owned());
    }
    let status = response.status();
    (status, String::from_utf8(actix_test::read_body(response).await.to_vec()).unwrap())
}

#[test]
fn a_visit_from_the_first_page_to_the_logout() {
    let file = File::new();
    let sessions = file.store();
    let store = over(&sessions).owner_from("user");
    actix_web::rt::System::new().block_on(async {
        let middleware = SessionMiddleware::builder(store.clone(), Key::generate())
            .session_lifecycle(PersistentSession::default())
            .build();
        let app = App::new()
            .wrap(middleware)
            .route("/count", web::get().to(count))
            .route("/login/{user}", web::get().to(log_in))
            .route("/logout", web::get().to(log_out));
        let app = actix_test::init_service(app).await;
        let mut cookie = None;
        assert_eq!(visit(&app, "/count", &mut cookie).await.1, "1");
        assert_eq!(visit(&app, "/count", &mut cookie).await.1, "2");
        let before = cookie.clone();
        visit(&app, "/login/alice", &mut cookie).await;
        assert_eq!(visit(&app, "/count", &mut cookie).await.1, "3", "the session goes on");
        assert_eq!(sessions.sessions_of("alice").unwrap().len(), 1);
        let mut replayed = before;
        assert_eq!(visit(&app, "/count", &mut replayed).await.1, "1", "the old key is dead");
        let mut stolen = cookie.clone();
        visit(&app, "/logout", &mut cookie).await;
        assert_eq!(cookie, None);
        assert_eq!(visit(&app, "/count", &mut stolen).await.1, "1");
        assert!(sessions.sessions_of("alice").unwrap().is_empty());
    });
}

/// What went wrong inside is no client's business.
#[test]
fn a_database_that_fails_is_an_error_that_shows_nothing() {
    let file = File::new();
    let sessions = file.store();
    let store = over(&sessions);
    actix_web::rt::System::new().block_on(async {
        let middleware = SessionMiddleware::new(store, Key::from(&[7; 64]));
        let app = App::new().wrap(middleware).route("/count", web::get().to(count));
        let app = actix_test::init_service(app).await;
        let mut cookie = None;
        assert_eq!(visit(&app, "/count", &mut cookie).await.1, "1");
        sessions.pool().get().unwrap().run("DROP TABLE session");
        for cookie in [cookie, None] {
            let mut request = actix_test::TestRequest::with_uri("/count");
            if let Some(cookie) = cookie {
                request = request.cookie(cookie);
            }
            let error = app.call(request.to_request()).await.map(drop).unwrap_err();
            let response = error.as_response_error().error_response();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let body = actix_web::body::to_bytes(error.error_response().into_body()).await;
            assert_eq!(body.unwrap_or_default(), "");
        }
    });
}
