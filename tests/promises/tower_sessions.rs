//! The store behind tower-sessions and axum: the cases of that layer's own route tests, and others.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use axum::routing::get;
use axum::{Router, extract::Path};
use diesel_session::{
    AsyncDieselSession, Blocking, DieselSession, Now as _, OnMissing, OwnerLimit, SessionConnection,
    Sessions as _, TimeDelta, TowerSessionStore, WebStore,
};
use serde_json::json;
use throwaway_postgres::Server;
use time::{Duration, OffsetDateTime};
use tokio::sync::oneshot;
use tower::ServiceExt as _;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error as StoreError, ExpiredDeletion as _};
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};

use crate::hosts::{Host, Limits, laws_on_every_host};
use crate::support::{Database, File, Postgres, Sql};
use crate::waiting::runtime;

fn over<H: Host>(host: &H) -> TowerSessionStore<H::Web> {
    TowerSessionStore::new(host.web())
}

fn blocking<C: SessionConnection>(store: &DieselSession<C>) -> TowerSessionStore<Blocking<DieselSession<C>>> {
    TowerSessionStore::new(Blocking::from(store.clone()))
}

/// Makes an application whose routes are the steps of a visit.
fn routes(store: impl SessionStore + Clone) -> Router {
    Router::new()
        .route("/", get(async |_: Session| "hello"))
        .route(
            "/put/{value}",
            get(async |session: Session, Path(value): Path<String>| put(session, &value).await),
        )
        .route(
            "/get",
            get(async |session: Session| session.get::<String>("value").await.unwrap().unwrap_or_default()),
        )
        .route(
            "/look",
            get(async |session: Session| {
                let value = session.get::<String>("value").await;
                value.map(Option::unwrap_or_default).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
            }),
        )
        .route(
            "/remove",
            get(async |session: Session| session.remove::<String>("value").await.map(drop).unwrap()),
        )
        .route(
            "/login/{user}",
            get(async |session: Session, Path(user): Path<String>| {
                session.cycle_id().await.unwrap();
                session.insert("user", user).await.unwrap();
            }),
        )
        .route("/logout", get(async |session: Session| session.flush().await.unwrap()))
        .route(
            "/relogin/{user}",
            get(async |session: Session, Path(user): Path<String>| {
                session.flush().await.unwrap();
                session.insert("user", user).await.unwrap();
            }),
        )
        .route(
            "/clear/{value}",
            get(async |session: Session, Path(value): Path<String>| {
                session.clear().await;
                put(session, &value).await;
            }),
        )
        .route(
            "/fail",
            get(async |session: Session| {
                session.cycle_id().await.unwrap();
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .route("/remember", get(async |session: Session| session.insert("remember", true).await.unwrap()))
        .layer(axum::middleware::from_fn(remembered))
        .layer(SessionManagerLayer::new(store).with_expiry(Expiry::OnInactivity(Duration::hours(1))))
}

/// Sets a longer expiry for a visitor who has chosen to be remembered. It acts after the handler, because that handler
/// may be the one that stores the choice.
async fn remembered(
    session: Session,
    request: Request<Body>,
    next: axum::middleware::Next,
) -> Response<Body> {
    let response = next.run(request).await;
    if matches!(session.get::<bool>("remember").await, Ok(Some(true))) {
        session.set_expiry(Some(Expiry::OnInactivity(Duration::days(30))));
    }
    response
}

async fn put(session: Session, value: &str) {
    session.insert("value", value).await.unwrap();
}

/// A browser with one cookie.
struct Browser {
    app: Router,
    cookie: Option<String>,
}

impl Browser {
    fn new(store: impl SessionStore + Clone) -> Self {
        Self { app: routes(store), cookie: None }
    }

    async fn visit(&mut self, path: &str) -> String {
        let response = self.ask(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    async fn ask(&mut self, path: &str) -> Response<Body> {
        let mut request = Request::builder().uri(path);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, format!("id={cookie}"));
        }
        let response = self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        if let Some(set) = response.headers().get(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            let (cookie, attributes) = set.strip_prefix("id=").unwrap().split_once(';').unwrap();
            self.cookie = (!attributes.contains("Max-Age=0")).then(|| cookie.to_owned());
        }
        response
    }

    fn id(&self) -> Id {
        self.cookie.as_ref().unwrap().parse().unwrap()
    }
}

/// Makes a record as an application does, for an hour.
fn record(field: &str, value: &str) -> Record {
    let data = [(field.to_owned(), json!(value))].into();
    Record { id: Id::default(), data, expiry_date: OffsetDateTime::now_utc() + Duration::hours(1) }
}

laws_on_every_host! {
    a_value_in_a_session_is_there_at_the_next_visit
    a_login_changes_the_id_and_the_old_one_is_dead
    a_logout_is_final
    an_unknown_cookie_begins_an_anonymous_session
    a_login_works_after_a_stale_cookie_and_a_flush
    clear_with_a_stale_cookie_is_refused
    a_request_that_outlives_the_logout_revives_nothing
    a_renewal_that_outlives_the_logout_begins_no_session
    a_session_may_be_renewed_twice_in_one_request
    a_failure_is_reported_with_its_cause
    no_record_chooses_its_id
    a_new_id_is_drawn_if_the_first_is_taken
    the_database_keeps_and_applies_the_records_expiry
    max_lifetime_also_holds_after_a_login
    all_sessions_of_a_user_except_one_can_be_ended
    the_owner_of_a_session_follows_its_data
    a_session_that_never_expires_is_kept
    a_payload_of_another_shape_is_a_decode_error_and_can_be_deleted
    expired_records_are_deleted_and_live_ones_stay
    both_versions_serve_one_session
    the_store_returns_the_handle_and_the_creation_time_of_a_session
    an_owner_can_be_a_nested_field_or_a_function
    a_cycle_id_before_a_server_error_signs_the_visitor_out
    remember_me_outlives_the_layers_expiry
}

async fn a_value_in_a_session_is_there_at_the_next_visit<H: Host>() {
    let host = H::new().await;
    let mut browser = Browser::new(over(&host));
    browser.visit("/").await;
    assert_eq!(browser.cookie, None, "a visitor who does nothing gets no session");
    browser.visit("/put/cart").await;
    assert_eq!(browser.visit("/get").await, "cart");
    browser.visit("/put/more").await;
    assert_eq!(browser.visit("/get").await, "more");
    browser.visit("/remove").await;
    assert_eq!(browser.visit("/get").await, "");
}

async fn a_login_changes_the_id_and_the_old_one_is_dead<H: Host>() {
    let host = H::new().await;
    let store = over(&host);
    let mut browser = Browser::new(store.clone());
    browser.visit("/put/cart").await;
    let old = browser.id();
    browser.visit("/login/alice").await;
    assert_ne!(browser.id(), old);
    assert_eq!(browser.visit("/get").await, "cart");
    assert!(store.load(&old).await.unwrap().is_none());
}

async fn a_logout_is_final<H: Host>() {
    let host = H::new().await;
    let store = over(&host);
    let mut browser = Browser::new(store.clone());
    browser.visit("/login/alice").await;
    let id = browser.id();
    browser.visit("/logout").await;
    assert_eq!(browser.cookie, None);
    assert!(store.load(&id).await.unwrap().is_none());
    store.delete(&id).await.unwrap();
}

async fn an_unknown_cookie_begins_an_anonymous_session<H: Host>() {
    let host = H::new().await;
    let mut browser = Browser::new(over(&host));
    let unknown = Id::default().to_string();
    for cookie in ["", "garbage", "%00", &"x".repeat(10_000), &unknown, &format!("{unknown}; id=garbage")] {
        browser.cookie = Some(cookie.to_owned());
        assert_eq!(browser.visit("/get").await, "", "{cookie}");
        browser.visit("/put/mine").await;
        let begun = browser.cookie.clone().unwrap();
        assert!(begun != unknown && begun != cookie, "a client chose the id {cookie}");
        assert_eq!(browser.visit("/get").await, "mine");
    }
}

async fn a_login_works_after_a_stale_cookie_and_a_flush<H: Host>() {
    let host = H::new().await;
    let mut browser = Browser::new(over(&host));
    let stale = Id::default();
    browser.cookie = Some(stale.to_string());
    browser.visit("/relogin/alice").await;
    assert_ne!(browser.id(), stale);
    browser.cookie = Some(stale.to_string());
    browser.visit("/login/alice").await;
    assert_ne!(browser.id(), stale);
}

/// `Session::clear` keeps the client's id if nothing was loaded before. That id must not become a session.
async fn clear_with_a_stale_cookie_is_refused<H: Host>() {
    let host = H::new().await;
    let store = over(&host);
    let mut browser = Browser::new(store.clone());
    let stale = Id::default();
    browser.cookie = Some(stale.to_string());
    let response = browser.ask("/clear/planted").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(store.load(&stale).await.unwrap().is_none());
}

async fn a_request_that_outlives_the_logout_revives_nothing<H: Host>() {
    let host = H::new().await;
    let sessions = host.sessions();
    for vanished in [OnMissing::Error, OnMissing::Discard] {
        let store = over(&host).on_missing(vanished);
        let mut record = record("user", "alice");
        store.create(&mut record).await.unwrap();
        // The slow request has loaded its session, and then another request logs out.
        let slow = Session::new(Some(record.id), Arc::new(store.clone()), None);
        assert_eq!(slow.get::<String>("user").await.unwrap().unwrap(), "alice");
        store.delete(&record.id).await.unwrap();
        slow.insert("seen", true).await.unwrap();
        let saved = slow.save().await;
        assert_eq!(saved.is_err(), vanished == OnMissing::Error);
        assert!(store.load(&record.id).await.unwrap().is_none(), "{vanished:?}");
        assert_eq!(sessions.count().unwrap().live, 0);
    }
}

/// Returns a visitor's session as a request has loaded it.
async fn loaded(store: &(impl SessionStore + Clone), id: Id) -> Session {
    let session = Session::new(Some(id), Arc::new(store.clone()), None);
    session.load().await.unwrap();
    session
}

/// Does `work` in another task, as a server does for another connection.
async fn elsewhere<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    tokio::spawn(work).await.unwrap()
}

/// No session is left, whichever request deletes first: the logout, or the login that goes on under a new id.
async fn a_renewal_that_outlives_the_logout_begins_no_session<H: Host>() {
    let host = H::new().await;
    for vanished in [OnMissing::Error, OnMissing::Discard] {
        let store = over(&host).on_missing(vanished);
        for logout_is_first in [true, false] {
            let mut record = record("user", "alice");
            store.create(&mut record).await.unwrap();
            let slow = loaded(&store, record.id).await;
            let leaving = loaded(&store, record.id).await;
            let (deleted, deletion) = oneshot::channel();
            let (left, leave) = oneshot::channel();
            let renewal = tokio::spawn(async move {
                if !logout_is_first {
                    slow.cycle_id().await.unwrap();
                }
                deleted.send(()).unwrap();
                leave.await.unwrap();
                if logout_is_first {
                    slow.cycle_id().await.unwrap();
                }
                slow.insert("seen", true).await.unwrap();
                slow.save().await
            });
            deletion.await.unwrap();
            elsewhere(async move { leaving.flush().await.unwrap() }).await;
            left.send(()).unwrap();
            let saved = renewal.await.unwrap();
            assert_eq!(saved.is_err(), vanished == OnMissing::Error, "{saved:?}");
            assert_eq!(host.sessions().count().unwrap().live, 0, "{vanished:?}, {logout_is_first}");
        }
    }
}

async fn a_session_may_be_renewed_twice_in_one_request<H: Host>() {
    let host = H::new().await;
    let store = over(&host);
    let mut record = record("value", "cart");
    store.create(&mut record).await.unwrap();
    let session = loaded(&store, record.id).await;
    for _ in 0..3 {
        session.cycle_id().await.unwrap();
        session.save().await.unwrap();
        session.load().await.unwrap();
    }
    assert_eq!(session.get::<String>("value").await.unwrap().unwrap(), "cart");
    let id = session.id().unwrap();
    assert_eq!(store.handle(&id), host.sessions().handle(&store.key(&id)));
    assert_eq!(host.sessions().count().unwrap().live, 1);
}

async fn a_failure_is_reported_with_its_cause<H: Host>() {
    let host = H::new().await;
    let (report, reports) = std::sync::mpsc::channel();
    let store = over(&host).on_error(move |error| report.send(error.to_string()).unwrap());
    let mut long = record("value", &"x".repeat(2 << 20));
    assert!(matches!(store.create(&mut long).await, Err(StoreError::Backend(_))));
    assert!(reports.try_recv().unwrap().contains("2097164 bytes"));
    store.create(&mut record("value", "x")).await.unwrap();
    assert!(reports.try_recv().is_err());
}

/// The store uses neither an id that is taken nor one that a client has sent.
async fn no_record_chooses_its_id<H: Host>() {
    let host = H::new().await;
    let store = over(&host);
    let mut theirs = record("value", "theirs");
    store.create(&mut theirs).await.unwrap();
    let mut ours = record("value", "ours");
    ours.id = theirs.id;
    store.create(&mut ours).await.unwrap();
    assert_ne!(ours.id, theirs.id);
    assert_eq!(store.load(&theirs.id).await.unwrap().unwrap().data["value"], "theirs");
    assert_eq!(store.load(&ours.id).await.unwrap().unwrap().data["value"], "ours");
}

async fn a_new_id_is_drawn_if_the_first_is_taken<H: Host>() {
    let host = H::new().await;
    host.take_the_next_key();
    let mut record = record("value", "x");
    over(&host).create(&mut record).await.unwrap();
    assert_eq!(over(&host).load(&record.id).await.unwrap().unwrap().data["value"], "x");
    assert_eq!(host.sessions().count().unwrap().live, 1);
}

async fn the_database_keeps_and_applies_the_records_expiry<H: Host>() {
    let host = H::new().await;
    let store = over(&host);
    let mut record = record("value", "x");
    store.create(&mut record).await.unwrap();
    let loaded = store.load(&record.id).await.unwrap().unwrap();
    let difference = loaded.expiry_date - record.expiry_date;
    assert!(difference.abs() < Duration::minutes(1), "{difference}");
    record.expiry_date = OffsetDateTime::now_utc() + Duration::days(2);
    store.save(&record).await.unwrap();
    assert!(
        store.load(&record.id).await.unwrap().unwrap().expiry_date > loaded.expiry_date + Duration::days(1)
    );
    record.expiry_date = OffsetDateTime::now_utc() - Duration::seconds(1);
    store.save(&record).await.unwrap();
    assert!(store.load(&record.id).await.unwrap().is_none());
    assert!(store.save(&record).await.is_err(), "and nothing revives it");
}

async fn max_lifetime_also_holds_after_a_login<H: Host>() {
    let limits = Limits { max_lifetime: Some(TimeDelta::minutes(30)), ..Limits::default() };
    let host = H::limited(limits).await;
    let sessions = host.sessions();
    let store = over(&host).owner_from("user");
    let mut begun = record("user", "alice");
    store.create(&mut begun).await.unwrap();
    let listed = || sessions.sessions_of("alice", 100).unwrap();
    let created = listed()[0].created;
    let session =
        Session::new(Some(begun.id), Arc::new(store.clone()), Some(Expiry::OnInactivity(Duration::hours(1))));
    let earlier = created - TimeDelta::minutes(20);
    host.run("UPDATE session SET created_on = created_on - 20 * {minute}");
    session.cycle_id().await.unwrap();
    session.save().await.unwrap();
    assert_eq!(listed().len(), 1);
    assert!((listed()[0].created - earlier).abs() < TimeDelta::milliseconds(20), "{:?}", listed());
    let loaded = store.load(&session.id().unwrap()).await.unwrap().unwrap();
    assert!(loaded.expiry_date < OffsetDateTime::now_utc() + Duration::minutes(11));
}

async fn all_sessions_of_a_user_except_one_can_be_ended<H: Host>() {
    let host = H::new().await;
    let sessions = host.sessions();
    let store = over(&host).owner_from("user");
    let [mut phone, mut laptop, mut other] = [(); 3].map(|()| Browser::new(store.clone()));
    for browser in [&mut phone, &mut laptop] {
        browser.visit("/put/cart").await;
        browser.visit("/login/alice").await;
    }
    other.visit("/login/bob").await;
    assert_eq!(sessions.sessions_of("alice", 100).unwrap().len(), 2);
    let mine = store.key(&laptop.id());
    assert!(
        sessions
            .sessions_of("alice", 100)
            .unwrap()
            .iter()
            .any(|listed| listed.handle == sessions.handle(&mine))
    );
    assert_eq!(sessions.clear_owner("alice", Some(&mine)).unwrap(), 1);
    assert_eq!(phone.visit("/get").await, "");
    assert_eq!(laptop.visit("/get").await, "cart");
    assert!(store.load(&other.id()).await.unwrap().is_some());
}

async fn the_owner_of_a_session_follows_its_data<H: Host>() {
    let limits = Limits { owner_limit: Some(OwnerLimit::EndOldest(1)), ..Limits::default() };
    let host = H::limited(limits).await;
    let sessions = host.sessions();
    let store = over(&host).owner_from("user");
    let mut kept = record("user", "alice");
    store.create(&mut kept).await.unwrap();
    let key = store.key(&kept.id);
    let id = kept.id;
    store.save(&kept).await.unwrap();
    assert_eq!(sessions.find(&key).unwrap().owner.as_deref(), Some("alice"));
    kept.data.insert("user".to_owned(), json!(7));
    store.save(&kept).await.unwrap();
    assert_eq!(sessions.find(&key).unwrap().owner.as_deref(), Some("7"));
    let mut kept = store.load(&id).await.unwrap().unwrap();
    kept.data.remove("user");
    store.save(&kept).await.unwrap();
    assert_eq!(sessions.find(&key).unwrap().owner, None);
    let mut other = record("user", "alice");
    store.create(&mut other).await.unwrap();
    let mut kept = store.load(&id).await.unwrap().unwrap();
    kept.data.insert("user".to_owned(), json!("alice"));
    store.save(&kept).await.unwrap();
    assert!(store.load(&other.id).await.unwrap().is_none(), "the limit ended the other");
    kept.data.insert("user".to_owned(), json!([1]));
    assert!(matches!(store.save(&kept).await, Err(StoreError::Encode(_))));
}

/// The expiry is the latest that a database can hold, or the earliest.
async fn a_session_that_never_expires_is_kept<H: Host>() {
    let host = H::new().await;
    let store = over(&host);
    let mut forever = record("value", "x");
    forever.expiry_date = OffsetDateTime::now_utc().saturating_add(Duration::MAX);
    store.create(&mut forever).await.unwrap();
    assert!(store.load(&forever.id).await.unwrap().is_some());
    forever.expiry_date = OffsetDateTime::now_utc().saturating_add(Duration::MIN);
    store.save(&forever).await.unwrap();
    assert!(store.load(&forever.id).await.unwrap().is_none());
}

async fn a_payload_of_another_shape_is_a_decode_error_and_can_be_deleted<H: Host>() {
    let host = H::new().await;
    let sessions = host.sessions();
    let store = over(&host);
    let mut record = record("value", "x");
    store.create(&mut record).await.unwrap();
    sessions.set(&store.key(&record.id), "hunter2", None).unwrap();
    let error = store.load(&record.id).await.unwrap_err();
    assert!(matches!(error, StoreError::Decode(_)));
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    store.delete(&record.id).await.unwrap();
    assert!(store.load(&record.id).await.unwrap().is_none());
}

async fn expired_records_are_deleted_and_live_ones_stay<H: Host>() {
    let host = H::new().await;
    let sessions = host.sessions();
    let store = over(&host);
    let mut live = record("value", "x");
    store.create(&mut live).await.unwrap();
    for _ in 0..3 {
        let mut dead = record("value", "x");
        dead.expiry_date = OffsetDateTime::now_utc() - Duration::hours(3);
        store.create(&mut dead).await.unwrap();
    }
    assert_eq!(sessions.count().unwrap().expired, 3);
    store.delete_expired().await.unwrap();
    assert_eq!(sessions.count().unwrap().expired, 0);
    assert!(store.load(&live.id).await.unwrap().is_some());
}

/// One application uses the middleware of both versions. Each version passes the ids by which the store tells a renewal
/// from a logout.
async fn both_versions_serve_one_session<H: Host>() {
    use tower_sessions_core_0_14::session::{Id as OlderId, Session as Older};

    let host = H::new().await;
    let store = Arc::new(over(&host));
    let session = Session::new(None, store.clone(), None);
    session.insert("value", "cart").await.unwrap();
    session.save().await.unwrap();
    let id = session.id().unwrap();
    let older = Older::new(Some(OlderId(id.0)), store.clone(), None);
    assert_eq!(older.get::<String>("value").await.unwrap().unwrap(), "cart");
    assert_eq!(store.key(&OlderId(id.0)), store.key(&id));
    assert!(store.created(&older).await.unwrap().is_some());
    older.cycle_id().await.unwrap();
    older.save().await.unwrap();
    let renewed = Id(older.id().unwrap().0);
    assert!(store.load(&id).await.unwrap().is_none());
    let session = loaded(&*store, renewed).await;
    assert_eq!(session.get::<String>("value").await.unwrap().unwrap(), "cart");
    // A logout in the middle of a renewal is final in either version.
    let older = Older::new(Some(OlderId(renewed.0)), store.clone(), None);
    older.load().await.unwrap();
    older.cycle_id().await.unwrap();
    session.flush().await.unwrap();
    assert!(older.save().await.is_err());
    assert_eq!(host.sessions().count().unwrap().live, 0);
}

async fn the_store_returns_the_handle_and_the_creation_time_of_a_session<H: Host>() {
    let host = H::new().await;
    let store = over(&host);
    let new = Session::new(None, Arc::new(store.clone()), None);
    new.insert("value", "cart").await.unwrap();
    assert_eq!(store.created(&new).await.unwrap(), None, "it is not in the database yet");
    new.save().await.unwrap();
    let id = new.id().unwrap();
    let found = host.sessions().find(&store.key(&id)).unwrap();
    assert_eq!(store.handle(&id), found.handle);
    let session = Session::new(Some(id), Arc::new(store.clone()), None);
    let created = store.created(&session).await.unwrap().unwrap();
    assert!((created - found.created).abs() < TimeDelta::milliseconds(2));
}

async fn an_owner_can_be_a_nested_field_or_a_function<H: Host>() {
    let host = H::new().await;
    let listed = |owner: &str| host.sessions().sessions_of(owner, 10).unwrap().len();
    let nested = || {
        let mut record = record("value", "x");
        let data = json!({"user_id": 42, "team/name": {"~": "red"}, "auth_hash": [1, 2]});
        record.data.insert("axum-login.data".to_owned(), data);
        record
    };
    let pointer = |path: &str| over(&host).owner_from(path);
    pointer("/axum-login.data/user_id").create(&mut nested()).await.unwrap();
    assert_eq!(listed("42"), 1);
    pointer("/axum-login.data/team~1name/~0").create(&mut nested()).await.unwrap();
    assert_eq!(listed("red"), 1);
    // A missing field means no owner. A field that holds an object or a list is refused.
    pointer("/axum-login.data/nobody/there").create(&mut nested()).await.unwrap();
    pointer("axum-login.data.user_id").create(&mut nested()).await.unwrap();
    for path in ["axum-login.data", "/axum-login.data", "/axum-login.data/auth_hash"] {
        let (report, reports) = std::sync::mpsc::channel();
        let store = pointer(path).on_error(move |error| report.send(format!("{error:?}")).unwrap());
        let refused = store.create(&mut nested()).await;
        assert!(matches!(&refused, Err(StoreError::Encode(text)) if text.contains(path)), "{refused:?}");
        assert!(reports.try_recv().unwrap().starts_with("NotText"));
    }
    let function = |data: &std::collections::HashMap<String, serde_json::Value>| {
        data.get("value").and_then(|value| value.as_str()).map(|value| format!("function of {value}"))
    };
    let store = over(&host).owner_from(function);
    let mut begun = nested();
    store.create(&mut begun).await.unwrap();
    assert_eq!(listed("function of x"), 1);
    let mut begun = store.load(&begun.id).await.unwrap().unwrap();
    begun.data.insert("value".to_owned(), json!("y"));
    store.save(&begun).await.unwrap();
    assert_eq!((listed("function of x"), listed("function of y")), (0, 1));
}

/// After a server error, tower-sessions does not save. The old session has ended, and no new one begins.
async fn a_cycle_id_before_a_server_error_signs_the_visitor_out<H: Host>() {
    let host = H::new().await;
    let mut browser = Browser::new(over(&host));
    browser.visit("/put/cart").await;
    let before = browser.cookie.clone();
    let answer = browser.ask("/fail").await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(browser.cookie, before, "the browser still has the old cookie");
    assert_eq!(browser.visit("/get").await, "");
    assert_eq!(host.sessions().count().unwrap().live, 0);
}

/// The recipe of the documentation: the choice is a field of the session, and a middleware sets the expiry in each
/// request.
async fn remember_me_outlives_the_layers_expiry<H: Host>() {
    let host = H::new().await;
    let store = over(&host);
    for remembers in [false, true] {
        let mut browser = Browser::new(store.clone());
        browser.visit(if remembers { "/remember" } else { "/put/cart" }).await;
        browser.visit("/put/more").await;
        let left = host.sessions().find(&store.key(&browser.id())).unwrap().left;
        assert_eq!(left > TimeDelta::days(29), remembers, "{left}");
    }
}

/// Checks that `dump` contains no id, neither in the form of the cookie nor as a number.
async fn no_id_lies_in(store: TowerSessionStore<impl WebStore>, dump: impl FnOnce() -> String) {
    let mut record = record("value", "x");
    store.create(&mut record).await.unwrap();
    let dump = dump();
    assert!(dump.contains("value"), "{dump}");
    for id in [record.id.to_string(), record.id.0.to_string(), format!("{:x}", record.id.0)] {
        assert!(!dump.contains(&id), "{dump}");
    }
}

#[test]
fn the_table_contains_no_id() {
    let file = File::new();
    let rows = || file.conn().text("SELECT group_concat(session_key || ' ' || session_data) FROM session");
    runtime().block_on(no_id_lies_in(blocking(&file.store()), rows));
    let database = Database::new();
    let rows = || database.conn().text("SELECT string_agg(session::text, ' ') FROM session");
    runtime().block_on(no_id_lies_in(blocking(&database.store()), rows));
}

/// The server's log shows this.
#[test]
fn a_malformed_cookie_costs_no_query() {
    let server = Server::start(&["log_min_duration_statement=0"]).unwrap();
    let store = Postgres::builder().pool_size(1).connect(&server.url("postgres")).unwrap();
    store.migrate().unwrap();
    let mut browser = Browser::new(blocking(&store));
    runtime().block_on(async {
        for cookie in ["garbage", "", "AAAA", &"x".repeat(10_000)] {
            browser.cookie = Some(cookie.to_owned());
            let before = server.log().unwrap().len();
            browser.visit("/get").await;
            assert_eq!(&server.log().unwrap()[before..], "", "{cookie}");
        }
    });
}

/// Fifty concurrent requests meet a database that is down. Each is answered in time. Requests are served again when the
/// database is back.
async fn answers_while_the_database_is_down<S: WebStore>(
    mut server: Server,
    store: S,
    bound: std::time::Duration,
) {
    let app = routes(TowerSessionStore::new(store));
    let mut browser = Browser { app: app.clone(), cookie: None };
    browser.visit("/put/cart").await;
    let cookie = browser.cookie.clone();
    let look = || {
        let mut browser = Browser { app: app.clone(), cookie: cookie.clone() };
        async move { browser.ask("/look").await.status() }
    };
    server.stop().unwrap();
    let started = std::time::Instant::now();
    let requests: Vec<_> = (0..50).map(|_| tokio::spawn(look())).collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert!(started.elapsed() < bound, "{:?}", started.elapsed());
    server.start_again().unwrap();
    assert_eq!(browser.visit("/get").await, "cart");
}

/// A call may take one second for a connection and one for a statement, and twice that if it waits for its turn. The
/// bound is far above this. It is far below the time that fifty calls would take one after another.
#[test]
fn requests_are_answered_in_time_while_the_database_is_down() {
    const SHORT: std::time::Duration = std::time::Duration::from_secs(1);
    let server = Server::start(&["synchronous_commit=on"]).unwrap();
    let builder = Postgres::builder()
        .pool_size(2)
        .connection_timeout(TimeDelta::seconds(1))
        .statement_timeout(TimeDelta::seconds(1));
    let sessions = builder.connect(&server.url("postgres")).unwrap();
    sessions.migrate().unwrap();
    runtime().block_on(answers_while_the_database_is_down(server, Blocking::from(sessions), 20 * SHORT));

    let server = Server::start(&["synchronous_commit=on"]).unwrap();
    runtime().block_on(async {
        let builder = AsyncDieselSession::builder().pool_size(2).pipelined(1);
        let builder =
            builder.connection_timeout(TimeDelta::seconds(1)).statement_timeout(TimeDelta::seconds(1));
        let sessions = builder.connect(&server.url("postgres")).await.unwrap();
        sessions.migrate().await.unwrap();
        answers_while_the_database_is_down(server, sessions, 20 * SHORT).await;
    });
}
