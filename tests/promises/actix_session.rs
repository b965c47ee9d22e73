//! The store behind actix-session: the cases of that crate's own acceptance tests, and others.

use std::collections::HashMap;
use std::sync::mpsc::channel;
use std::thread;

use actix_http::Request;
use actix_session::config::{PersistentSession, TtlExtensionPolicy};
use actix_session::storage::{LoadError, SaveError, SessionKey as CookieKey, SessionStore, UpdateError};
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, Key};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::{App, HttpServer, test as actix_test, web};
use chrono::TimeDelta;
use diesel_session::{
    ActixSessionStore, AsyncDieselSession, Blocking, Builder, DieselSession, Now as _, OnMissing,
    SessionConnection, SessionKey, Sessions as _, Sweeper, WebStore,
};
use throwaway_postgres::Server;
use tokio::task::{LocalSet, spawn_local};

use crate::hosts::{Host, Limits, laws_on_every_host};
use crate::support::{Database, File, Postgres, Sql, first_page};
use crate::waiting::runtime;

const HOUR: Duration = Duration::hours(1);

fn over<H: Host>(host: &H) -> ActixSessionStore<H::Web> {
    ActixSessionStore::new(host.web())
}

fn blocking<C: SessionConnection>(store: &DieselSession<C>) -> ActixSessionStore<Blocking<DieselSession<C>>> {
    ActixSessionStore::new(Blocking::from(store.clone()))
}

/// Makes a state as the middleware holds it: JSON texts by field name.
fn state(entries: &[(&str, &str)]) -> HashMap<String, String> {
    entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// Returns the application's own fields, without those that the adapter adds.
fn kept(state: Option<HashMap<String, String>>) -> HashMap<String, String> {
    let mut state = state.unwrap();
    for field in
        ["diesel-session.base", "diesel-session.created", "diesel-session.key", "diesel-session.renewal"]
    {
        assert!(state.remove(field).is_some(), "{field}");
    }
    state
}

fn cookie_key(text: &str) -> CookieKey {
    text.to_owned().try_into().unwrap()
}

/// Copies the key, because actix-session's own type cannot be cloned.
fn again(key: &CookieKey) -> CookieKey {
    cookie_key(key.as_ref())
}

fn ours(key: &CookieKey) -> SessionKey {
    key.as_ref().parse().unwrap()
}

laws_on_every_host! {
    a_state_that_was_saved_is_loaded_and_updated
    an_unknown_key_loads_no_session_and_creates_none
    a_deleted_session_is_gone_and_stays_gone
    a_renewal_that_outlives_the_logout_begins_no_session
    a_session_ends_when_its_time_is_over
    update_ttl_never_shortens_a_session_and_never_creates_one
    max_lifetime_also_holds_after_a_renewal
    all_sessions_of_a_user_except_one_can_be_ended
    a_state_of_another_shape_is_an_error_that_shows_nothing
    keys_are_this_crates_and_no_two_are_alike
    a_new_key_is_drawn_if_the_first_is_taken
}

async fn a_state_that_was_saved_is_loaded_and_updated<H: Host>() {
    let host = H::new().await;
    let store = over(&host);
    let begun = state(&[("cart", "3"), ("name", "\"Ann\"")]);
    let key = store.save(begun.clone(), &HOUR).await.unwrap();
    assert_eq!(kept(store.load(&key).await.unwrap()), begun);
    let changed = state(&[("cart", "5")]);
    let same = store.update(again(&key), changed.clone(), &HOUR).await.unwrap();
    assert_eq!(same, key);
    assert_eq!(kept(store.load(&key).await.unwrap()), changed);
}

async fn an_unknown_key_loads_no_session_and_creates_none<H: Host>() {
    let host = H::new().await;
    let sessions = host.sessions();
    let store = over(&host);
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

async fn a_deleted_session_is_gone_and_stays_gone<H: Host>() {
    let host = H::new().await;
    let sessions = host.sessions();
    for vanished in [OnMissing::Error, OnMissing::Discard] {
        let store = over(&host).on_missing(vanished);
        let key = store.save(state(&[("user", "1")]), &HOUR).await.unwrap();
        store.delete(&key).await.unwrap();
        store.delete(&key).await.unwrap();
        // A request that loaded the session before the logout ends only now.
        let late = store.update(again(&key), state(&[("user", "1"), ("seen", "1")]), &HOUR).await;
        match vanished {
            OnMissing::Discard => assert_eq!(late.unwrap(), key),
            _ => assert!(matches!(late, Err(UpdateError::Other(_)))),
        }
        store.update_ttl(&key, &HOUR).await.unwrap();
        assert!(store.load(&key).await.unwrap().is_none());
        assert_eq!(sessions.count().unwrap().live, 0, "under no key");
    }
}

async fn a_new_key_is_drawn_if_the_first_is_taken<H: Host>() {
    let host = H::new().await;
    host.take_the_next_key();
    let key = over(&host).save(state(&[("cart", "3")]), &HOUR).await.unwrap();
    assert_eq!(over(&host).load(&key).await.unwrap().unwrap()["cart"], "3");
    assert_eq!(host.sessions().count().unwrap().live, 1);
}

/// Renews a session as the middleware does for `Session::renew`, in its own task. `between` is what other requests do
/// between the two steps.
async fn renewed<S: WebStore>(
    store: ActixSessionStore<S>,
    key: CookieKey,
    state: HashMap<String, String>,
    between: impl Future<Output = ()> + 'static,
) -> Result<CookieKey, SaveError> {
    let renewal = async move {
        store.delete(&key).await.unwrap();
        between.await;
        store.save(state, &HOUR).await
    };
    LocalSet::new().run_until(async { spawn_local(renewal).await.unwrap() }).await
}

/// No session is left, whether the renewal or the logout deletes first.
async fn a_renewal_that_outlives_the_logout_begins_no_session<H: Host>() {
    let host = H::new().await;
    for vanished in [OnMissing::Error, OnMissing::Discard] {
        let store = over(&host).on_missing(vanished);
        for logout_is_first in [true, false] {
            let key = store.save(state(&[("user", "1")]), &HOUR).await.unwrap();
            let slow = store.load(&key).await.unwrap().unwrap();
            let (leaving, cookie) = (store.clone(), again(&key));
            let logout = async move { spawn_local(async move { leaving.delete(&cookie).await }).await };
            let logout = async { logout.await.unwrap().unwrap() };
            let late = if logout_is_first {
                LocalSet::new().run_until(logout).await;
                renewed(store.clone(), again(&key), slow, async {}).await
            } else {
                renewed(store.clone(), again(&key), slow, logout).await
            };
            assert_eq!(late.is_err(), vanished == OnMissing::Error, "{late:?}");
            assert_eq!(host.sessions().count().unwrap().live, 0, "{vanished:?}, {logout_is_first}");
        }
    }
}

async fn a_session_ends_when_its_time_is_over<H: Host>() {
    let host = H::new().await;
    let sessions = host.sessions();
    let store = over(&host);
    let key = store.save(state(&[("cart", "3")]), &HOUR).await.unwrap();
    let (_value, left) = sessions.get(&ours(&key)).unwrap();
    assert!(left <= TimeDelta::hours(1) && left > TimeDelta::minutes(59), "{left}");
    store.update(again(&key), state(&[("cart", "3")]), &Duration::ZERO).await.unwrap();
    assert!(store.load(&key).await.unwrap().is_none());
}

async fn update_ttl_never_shortens_a_session_and_never_creates_one<H: Host>() {
    let host = H::new().await;
    let sessions = host.sessions();
    let store = over(&host);
    let left = || sessions.sessions_of("1", 100).unwrap()[0].expires - chrono::Utc::now();
    let store = store.owner_from("user");
    let key = store.save(state(&[("user", "1")]), &HOUR).await.unwrap();
    store.update_ttl(&key, &Duration::minutes(5)).await.unwrap();
    assert!(left() > TimeDelta::minutes(50));
    store.update_ttl(&key, &Duration::hours(3)).await.unwrap();
    assert!(left() > TimeDelta::minutes(170));
    assert_eq!(store.load(&key).await.unwrap().unwrap()["user"], "1");
}

/// `Session::renew` deletes the session, and saves its state again.
async fn max_lifetime_also_holds_after_a_renewal<H: Host>() {
    let limits = Limits { max_lifetime: Some(TimeDelta::minutes(30)), ..Limits::default() };
    let host = H::limited(limits).await;
    let sessions = host.sessions();
    let store = over(&host).owner_from("user");
    let old = store.save(state(&[("user", "\"alice\"")]), &HOUR).await.unwrap();
    let loaded = store.load(&old).await.unwrap().unwrap();
    let created: i64 = loaded["diesel-session.created"].parse().unwrap();
    host.run("UPDATE session SET created_on = created_on - 20 * {minute}");
    store.delete(&old).await.unwrap();
    let new = store.save(loaded, &HOUR).await.unwrap();
    assert_ne!(new, old);
    let listed = sessions.sessions_of("alice", 100).unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].expires - listed[0].created <= TimeDelta::minutes(30));
    assert!((listed[0].created.timestamp_millis() - (created - 20 * 60_000)).abs() < 20);
}

async fn all_sessions_of_a_user_except_one_can_be_ended<H: Host>() {
    let host = H::new().await;
    let sessions = host.sessions();
    let store = over(&host).owner_from("user");
    let phone = store.save(state(&[("user", "\"alice\"")]), &HOUR).await.unwrap();
    let laptop = store.save(state(&[]), &HOUR).await.unwrap();
    let laptop = store.update(laptop, state(&[("user", "\"alice\"")]), &HOUR).await.unwrap();
    let other = store.save(state(&[("user", "7")]), &HOUR).await.unwrap();
    assert_eq!(sessions.clear_owner("alice", Some(&ours(&laptop))).unwrap(), 1);
    assert!(store.load(&phone).await.unwrap().is_none());
    assert!(store.load(&laptop).await.unwrap().is_some());
    assert_eq!(sessions.find(&ours(&other)).unwrap().owner.as_deref(), Some("7"));
    let nobodys = store.save(state(&[("user", "[1]")]), &HOUR).await;
    assert!(nobodys.unwrap_err().to_string().contains("serialize"));
}

async fn a_state_of_another_shape_is_an_error_that_shows_nothing<H: Host>() {
    let host = H::new().await;
    let sessions = host.sessions();
    let store = over(&host);
    let key = store.save(state(&[("cart", "3")]), &HOUR).await.unwrap();
    sessions.set(&ours(&key), "hunter2", None).unwrap();
    let error = store.load(&key).await.unwrap_err();
    assert!(matches!(error, LoadError::Deserialization(_)));
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    store.delete(&key).await.unwrap();
    assert!(store.load(&key).await.unwrap().is_none());
}

async fn keys_are_this_crates_and_no_two_are_alike<H: Host>() {
    let host = H::new().await;
    let store = over(&host);
    let one = store.save(state(&[]), &HOUR).await.unwrap();
    let two = store.save(state(&[]), &HOUR).await.unwrap();
    assert_ne!(one, two);
    assert_eq!(one.as_ref().len(), SessionKey::LENGTH);
}

/// The server's log shows this.
#[test]
fn a_malformed_key_costs_no_query() {
    let server = Server::start(&["log_min_duration_statement=0"]).unwrap();
    let sessions = Postgres::builder().pool_size(1).connect(&server.url("postgres")).unwrap();
    sessions.migrate().unwrap();
    let store = blocking(&sessions);
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

/// Visits a path as a browser does. Returns the status and the body, and updates the cookie.
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
fn a_visit_works_from_the_first_page_to_the_logout() {
    let file = File::new();
    let sessions = file.store();
    let store = blocking(&sessions).owner_from("user");
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
        assert_eq!(sessions.sessions_of("alice", 100).unwrap().len(), 1);
        let mut replayed = before;
        assert_eq!(visit(&app, "/count", &mut replayed).await.1, "1", "the old key is dead");
        let mut stolen = cookie.clone();
        visit(&app, "/logout", &mut cookie).await;
        assert_eq!(cookie, None);
        assert_eq!(visit(&app, "/count", &mut stolen).await.1, "1");
        assert!(sessions.sessions_of("alice", 100).unwrap().is_empty());
    });
}

/// Each worker of actix-web has its own runtime. A connection of the pool belongs to the runtime that opened it.
#[test]
fn the_workers_of_a_server_share_one_store_that_does_not_block() {
    let database = Database::new();
    let url = database.url.clone();
    let (started, starting) = channel();
    let server = thread::spawn(move || {
        actix_web::rt::System::new().block_on(async {
            let sessions = AsyncDieselSession::connect(&url).await.unwrap();
            sessions.migrate().await.unwrap();
            let second = TimeDelta::milliseconds(100);
            let sweeper = Sweeper::builder_async(sessions.clone()).interval(second).jitter(TimeDelta::zero());
            let _sweeper = sweeper.on_error(|error| panic!("{error:?}")).start().unwrap();
            let (store, key) = (ActixSessionStore::new(sessions), Key::generate());
            let app = move || {
                let middleware = SessionMiddleware::builder(store.clone(), key.clone()).cookie_secure(false);
                App::new().wrap(middleware.build()).route("/", web::get().to(count))
            };
            let server = HttpServer::new(app).workers(3).disable_signals().bind("127.0.0.1:0").unwrap();
            let address = server.addrs()[0].to_string();
            let running = server.run();
            started.send((address, running.handle())).unwrap();
            running.await.unwrap();
        });
    });
    let (address, handle) = starting.recv().unwrap();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut cookie = String::new();
                for visits in 1..=20 {
                    let response = first_page(&address, &cookie);
                    let (head, body) = response.split_once("\r\n\r\n").unwrap();
                    assert!(head.starts_with("HTTP/1.1 200"), "{response}");
                    assert_eq!(body, visits.to_string());
                    if let Some(set) = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")) {
                        set.split(';').next().unwrap().clone_into(&mut cookie);
                    }
                }
            });
        }
    });
    runtime().block_on(handle.stop(true));
    server.join().unwrap();
}

/// The client sees no detail of the failure.
#[test]
fn a_database_that_fails_is_an_error_that_shows_nothing() {
    let file = File::new();
    let sessions = file.store();
    let store = blocking(&sessions);
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

/// A request that outlives a logout ends with an internal error and sends no cookie. With `OnMissing::Discard` it
/// succeeds and changes nothing.
#[test]
fn a_request_that_outlives_the_logout_revives_nothing() {
    for vanished in [OnMissing::Error, OnMissing::Discard] {
        let file = File::new();
        let sessions = file.store();
        let store = blocking(&sessions).on_missing(vanished).owner_from("user");
        let leaving = sessions.clone();
        actix_web::rt::System::new().block_on(async {
            let middleware = SessionMiddleware::builder(store, Key::from(&[7; 64])).build();
            // The visitor logs out everywhere while the request is under way.
            let slow = move |session: Session| {
                leaving.clear_owner("alice", None).unwrap();
                count(session)
            };
            let app = App::new()
                .wrap(middleware)
                .route("/login/{user}", web::get().to(log_in))
                .route("/slow", web::get().to(slow));
            let app = actix_test::init_service(app).await;
            let mut cookie = None;
            visit(&app, "/login/alice", &mut cookie).await;
            let request = actix_test::TestRequest::with_uri("/slow").cookie(cookie.unwrap());
            let answer = app.call(request.to_request()).await;
            if vanished == OnMissing::Discard {
                assert_eq!(answer.unwrap().status(), StatusCode::OK);
            } else {
                let response = answer.unwrap_err().error_response();
                assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
                assert_eq!(response.cookies().count(), 0);
            }
            assert_eq!(sessions.count().unwrap().live, 0);
        });
    }
}

/// With `TtlExtensionPolicy::OnEveryRequest`, a visit that changes nothing extends the session.
#[test]
fn a_visit_that_changes_nothing_prolongs_the_session() {
    let file = File::new();
    let sessions = file.store_with(Builder::default().touch_interval(TimeDelta::zero()));
    let store = blocking(&sessions).owner_from("user");
    actix_web::rt::System::new().block_on(async {
        let lifecycle = PersistentSession::default()
            .session_ttl(HOUR)
            .session_ttl_extension_policy(TtlExtensionPolicy::OnEveryRequest);
        let middleware =
            SessionMiddleware::builder(store, Key::from(&[7; 64])).session_lifecycle(lifecycle).build();
        let app = App::new()
            .wrap(middleware)
            .route("/login/{user}", web::get().to(log_in))
            .route("/", web::get().to(async |session: Session| session.entries().len().to_string()));
        let app = actix_test::init_service(app).await;
        let mut cookie = None;
        visit(&app, "/login/alice", &mut cookie).await;
        let expires = || sessions.sessions_of("alice", 100).unwrap()[0].expires;
        file.conn().run("UPDATE session SET expire_date = expire_date - 1800000");
        let before = expires();
        assert_eq!(visit(&app, "/", &mut cookie).await.0, StatusCode::OK);
        assert!(expires() - before > TimeDelta::minutes(29), "{:?}", expires() - before);
    });
}

/// Fifty concurrent requests meet a database that is down. Each is answered in time. Requests are served again when the
/// database is back.
#[test]
fn requests_are_answered_in_time_while_the_database_is_down() {
    const SHORT: std::time::Duration = std::time::Duration::from_secs(1);
    let mut server = Server::start(&["synchronous_commit=on"]).unwrap();
    let builder = Postgres::builder()
        .pool_size(2)
        .connection_timeout(TimeDelta::seconds(1))
        .statement_timeout(TimeDelta::seconds(1));
    let sessions = builder.connect(&server.url("postgres")).unwrap();
    sessions.migrate().unwrap();
    let store = blocking(&sessions);
    actix_web::rt::System::new().block_on(async {
        let middleware = SessionMiddleware::new(store, Key::from(&[7; 64]));
        let app = App::new().wrap(middleware).route("/count", web::get().to(count));
        let app = actix_test::init_service(app).await;
        let mut cookie = None;
        visit(&app, "/count", &mut cookie).await;
        server.stop().unwrap();
        let started = std::time::Instant::now();
        let requests = (0..50).map(|_| {
            let request = actix_test::TestRequest::with_uri("/count").cookie(cookie.clone().unwrap());
            app.call(request.to_request())
        });
        for answer in futures_util::future::join_all(requests).await {
            let response = answer.map(drop).unwrap_err().error_response();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        }
        assert!(started.elapsed() < 20 * SHORT, "{:?}", started.elapsed());
        server.start_again().unwrap();
        assert_eq!(visit(&app, "/count", &mut cookie).await.1, "2");
    });
}
