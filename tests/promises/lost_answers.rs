//! A connection is lost while a change is under way. The store finds out what was done, or returns an error. (`pool`
//! tests connections that break while they are idle.)

use std::any::Any;
use std::cell::Cell;
use std::cmp::Ordering;
use std::time::Instant;

use diesel_async::AsyncPgConnection;
use diesel_session::{
    AsyncDieselSession, Blocking, Builder, DieselSession, Error, Expiry, Now as _, OwnerLimit,
    SessionConnection, SessionKey, Sessions as _, TimeDelta, TowerSessionStore, WebStore,
};
use time::{Duration, OffsetDateTime};
use tower_sessions::SessionStore as _;
use tower_sessions::session::{Id, Record};

use crate::lost_updates::plus_one;
use crate::proxy::{Cut, Proxied, Proxy};
use crate::support::{LATE, Mysql, Postgres, Store, run_on};
use crate::waiting::{Waiting, made, runtime};

/// A store with one connection, through a proxy.
struct Setting<S> {
    store: S,
    /// Another store at the same database, without the proxy.
    other: S,
    proxy: Proxy,
    kind: Kind<S>,
    /// The address without the proxy.
    url: String,
    _kept: Box<dyn Any>,
}

struct Kind<S> {
    start: fn() -> Proxied,
    /// Makes a store at the address. The limit is on an owner's sessions.
    make: fn(&str, Option<OwnerLimit>) -> S,
    /// The number of requests that BEGIN takes, and COMMIT too. The one in the middle carries it out.
    requests: usize,
    /// The SQL for a trigger that refuses to change the value 2.
    refusing: &'static str,
}

const REFUSING_ON_POSTGRES: &str = "\
     CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; \
     CREATE TRIGGER refuse BEFORE UPDATE ON session FOR EACH ROW WHEN (old.session_data = '2') \
     EXECUTE FUNCTION refuse()";

fn limited<C, P>(limit: Option<OwnerLimit>) -> Builder<C, P> {
    let builder = Builder::default().pool_size(1);
    limit.into_iter().fold(builder, Builder::owner_limit)
}

/// Connects, and migrates.
fn migrated<C: SessionConnection>(builder: Builder<C>, address: &str) -> DieselSession<C> {
    let store = builder.connect(address).unwrap();
    store.migrate().unwrap();
    store
}

fn blocking() -> Kind<Postgres> {
    Kind {
        start: Proxied::postgres,
        make: |address, limit| migrated(limited(limit), address),
        requests: 1,
        refusing: REFUSING_ON_POSTGRES,
    }
}

fn asynchronous() -> Kind<Waiting<AsyncDieselSession>> {
    fn make(address: &str, limit: Option<OwnerLimit>) -> Waiting<AsyncDieselSession> {
        made(async {
            let store = limited::<AsyncPgConnection, _>(limit).connect(address).await.unwrap();
            store.migrate().await.unwrap();
            store
        })
    }
    Kind { start: Proxied::postgres, make, requests: 1, refusing: REFUSING_ON_POSTGRES }
}

/// Diesel turns several statements in one text on before BEGIN and COMMIT, and off again afterwards.
fn mariadb() -> Kind<Mysql> {
    Kind {
        start: Proxied::mariadb,
        make: |address, limit| migrated(limited(limit), address),
        requests: 3,
        refusing: "CREATE TRIGGER refuse BEFORE UPDATE ON session FOR EACH ROW \
                   IF OLD.session_data = '2' THEN SIGNAL SQLSTATE '45000'; END IF",
    }
}

/// Makes a test of each law on each store.
macro_rules! laws {
    ($($law:ident)*) => {
        mod blocking {
            $(#[test] fn $law() { super::$law(super::blocking()); })*
        }
        mod asynchronous {
            $(#[test] fn $law() { super::$law(super::asynchronous()); })*
        }
        mod mariadb {
            $(#[test] fn $law() { super::$law(super::mariadb()); })*
        }
    };
}

laws! {
    a_rotation_gives_the_one_key_that_works
    a_generate_makes_one_session
    a_generate_that_comes_late_revives_no_session
    a_login_under_a_limit_does_not_count_against_itself
    a_replace_says_that_its_outcome_is_unknown
    an_update_is_retried_before_its_write_and_never_after_it
    an_update_that_locks_is_retried_before_its_commit_and_never_after_it
    repeatable_operations_are_retried_and_report_their_result
    an_error_after_a_lost_answer_may_have_taken_effect
    a_replace_works_if_its_connection_broke_in_the_pool
}

impl<S: Store> Setting<S> {
    fn new(kind: Kind<S>) -> Self {
        Self::limited(kind, None)
    }

    fn limited(kind: Kind<S>, limit: Option<OwnerLimit>) -> Self {
        let Proxied { proxy, through, url, kept } = (kind.start)();
        let (store, other) = ((kind.make)(&through, limit), (kind.make)(&url, limit));
        let setting = Self { store, other, proxy, kind, url, _kept: kept };
        setting.prepare();
        setting
    }

    /// Runs each statement once. From then on, a statement is one request.
    fn prepare(&self) {
        let key = self.session();
        self.store.get(&key).unwrap();
        assert_eq!(self.overtaken(&key, &Cell::new(0)).unwrap(), "4");
        self.store.update(&key, Expiry::Default, |_| Ok::<_, Error>("1".to_owned())).unwrap();
        self.store.replace(&key, Some("1"), "1", Expiry::Default).unwrap();
        let key = self.store.rotate(&key).unwrap();
        self.store.clear(&key).unwrap();
        let key = self.store.generate_for("prepared", None, None).unwrap();
        self.store.touch(&key, Expiry::After(TimeDelta::weeks(2))).unwrap();
        self.store.set(&key, "1", None).unwrap();
        self.store.bind(&key, "prepared").unwrap();
        self.store.clear_listed("prepared", &self.store.handle(&key)).unwrap();
        self.store.clear_owner("prepared", None).unwrap();
    }

    /// Adds one to a value. The other store comes first twice, so the function runs a third time.
    fn overtaken(&self, key: &SessionKey, runs: &Cell<u32>) -> Result<String, Error> {
        self.store.update(key, Expiry::Default, |value| {
            runs.set(runs.get() + 1);
            if runs.get() < 3 {
                self.other.set(key, &plus_one(value.clone()), None)?;
            }
            Ok(plus_one(value))
        })
    }

    fn session(&self) -> SessionKey {
        self.store.generate(Some("1"), None).unwrap()
    }

    fn live(&self) -> u64 {
        assert!(self.proxy.has_cut());
        self.store.count().unwrap().live
    }

    /// Waits until an INSERT that was held back has made its session. There must be no other session.
    fn wait_for_the_late_one(&self) {
        let started = Instant::now();
        while self.live() == 0 {
            assert!(started.elapsed() < LATE, "it did not arrive");
        }
    }

    /// Checks that a session stays dead if it is cleared before its first INSERT arrives.
    fn revives_nothing(&self) {
        let key = self.session();
        assert_eq!(self.live(), 1);
        self.store.clear(&key).unwrap();
        self.proxy.deliver();
        self.wait_for_the_late_one();
        assert!(matches!(self.store.get(&key), Err(Error::NotFound)), "revived");
    }
}

/// A request is lost, or its answer is lost.
const CUTS: [Cut; 2] = [Cut::Request, Cut::Answer];

fn a_rotation_gives_the_one_key_that_works<S: Store>(kind: Kind<S>) {
    let setting = Setting::new(kind);
    for cut in CUTS {
        let old = setting.session();
        setting.proxy.cut(1, cut);
        let new = setting.store.rotate(&old).unwrap();
        assert_eq!(setting.live(), 1, "{cut:?}");
        assert_eq!(setting.store.get(&new).unwrap().0, "1");
        assert!(matches!(setting.store.get(&old), Err(Error::NotFound)));
        setting.store.clear(&new).unwrap();
        setting.prepare();
    }
}

fn a_generate_makes_one_session<S: Store>(kind: Kind<S>) {
    let setting = Setting::new(kind);
    for cut in CUTS {
        setting.proxy.cut(1, cut);
        let key = setting.session();
        assert_eq!(setting.live(), 1, "{cut:?}");
        setting.store.clear(&key).unwrap();
        setting.prepare();
    }
}

/// The first INSERT arrives after the session was cleared, so it must have another key.
fn a_generate_that_comes_late_revives_no_session<S: Store>(kind: Kind<S>) {
    let setting = Setting::new(kind);
    setting.proxy.cut(1, Cut::Late);
    setting.revives_nothing();
}

/// Makes a store with enough connections for two lost attempts. Only one connection is open at a time.
fn patient() -> Kind<Postgres> {
    Kind { make: |address, limit| migrated(limited(limit).pool_size(3), address), ..blocking() }
}

/// The second attempt is lost while it deletes the row that the first may have left.
#[test]
fn a_generate_that_is_lost_twice_and_comes_late_revives_no_session() {
    let setting = Setting::new(patient());
    setting.proxy.cut(1, Cut::Late);
    setting.proxy.cut_with("DELETE FROM", Cut::Request);
    setting.revives_nothing();
}

/// The first attempt has committed. The second is lost while it deletes the row of the first.
#[test]
fn a_login_under_a_limit_that_is_lost_twice_does_not_count_against_itself() {
    let setting = Setting::limited(patient(), Some(OwnerLimit::Refuse(1)));
    setting.proxy.cut(6, Cut::Answer);
    setting.proxy.cut_with("DELETE FROM", Cut::Answer);
    let key = setting.store.generate_for("alice", None, None).unwrap();
    assert_eq!(setting.live(), 1);
    assert!(matches!(setting.store.get(&key), Err(Error::NotSet)));
}

/// The limit needs a transaction: on PostgreSQL BEGIN, the lock, the time, the count, INSERT and COMMIT.
fn a_login_under_a_limit_does_not_count_against_itself<S: Store>(kind: Kind<S>) {
    let setting = Setting::limited(kind, Some(OwnerLimit::Refuse(1)));
    for cut in CUTS {
        let mut request = 0;
        let mut was_cut = true;
        while was_cut {
            request += 1;
            setting.proxy.cut(request, cut);
            let key = setting.store.generate_for("alice", None, None).unwrap();
            was_cut = !setting.proxy.forget();
            assert_eq!(setting.live(), 1, "request {request}, {cut:?}");
            setting.store.clear(&key).unwrap();
            setting.prepare();
        }
        assert!(request > 2 * setting.kind.requests + 2, "only {request} requests");
    }
}

fn a_replace_says_that_its_outcome_is_unknown<S: Store>(kind: Kind<S>) {
    let setting = Setting::new(kind);
    for (cut, value) in [(Cut::Request, "1"), (Cut::Answer, "2")] {
        let key = setting.session();
        // The first request asks whether the connection is alive, so this cuts the second.
        setting.proxy.cut(2, cut);
        let replaced = setting.store.replace(&key, Some("1"), "2", Expiry::Default);
        assert!(matches!(replaced, Err(Error::OutcomeUnknown { .. })), "{cut:?}: {replaced:?}");
        assert_eq!(setting.store.get(&key).unwrap().0, value, "{cut:?}");
        setting.prepare();
    }
}

/// The steps are SELECT, the function, UPDATE.
fn an_update_is_retried_before_its_write_and_never_after_it<S: Store>(kind: Kind<S>) {
    let setting = Setting::new(kind);
    for (request, cut) in [1, 2].into_iter().flat_map(|request| CUTS.map(|cut| (request, cut))) {
        let key = setting.session();
        let calls = Cell::new(0);
        setting.proxy.cut(request, cut);
        let updated = setting.store.update(&key, Expiry::Default, |value| {
            calls.set(calls.get() + 1);
            Ok::<_, Error>(plus_one(value))
        });
        assert!(setting.proxy.has_cut());
        let (value, _) = setting.store.get(&key).unwrap();
        let case = format!("request {request}, {cut:?}: {updated:?}");
        assert_eq!(value, if request == 1 || cut == Cut::Answer { "2" } else { "1" }, "{case}");
        if request == 1 {
            assert!(updated.is_ok_and(|made| made == "2"), "{case}");
        } else {
            assert!(matches!(updated, Err(Error::OutcomeUnknown { .. })), "{case}");
        }
        assert_eq!(calls.get(), 1, "{case}");
        setting.prepare();
    }
}

/// Another writer comes first twice. Then the steps are BEGIN, SELECT ... FOR UPDATE, the function, UPDATE, COMMIT.
fn an_update_that_locks_is_retried_before_its_commit_and_never_after_it<S: Store>(kind: Kind<S>) {
    let setting = Setting::new(kind);
    let each = setting.kind.requests;
    let overtaken = 4;
    let (update, commit) = (overtaken + each + 2, overtaken + each + 2 + each.div_ceil(2));
    let requests = overtaken + 1..=update + each;
    for (request, cut) in requests.flat_map(|request| CUTS.map(|cut| (request, cut))) {
        let key = setting.session();
        let calls = Cell::new(0);
        setting.proxy.cut(request, cut);
        let updated = setting.overtaken(&key, &calls);
        assert!(setting.proxy.has_cut());
        let (value, _) = setting.store.get(&key).unwrap();
        let case = format!("request {request}, {cut:?}: {updated:?}");
        let is_written = request < update || request > commit || (request == commit && cut == Cut::Answer);
        assert_eq!(value, if is_written { "4" } else { "3" }, "{case}");
        let is_told = match request.cmp(&update) {
            Ordering::Less => updated.is_ok_and(|made| made == "4"),
            Ordering::Equal => matches!(updated, Err(Error::Interrupted { runs: 3, .. })),
            Ordering::Greater => matches!(updated, Err(Error::OutcomeUnknown { .. })),
        };
        assert!(is_told, "{case}");
        assert_eq!(calls.get(), 3, "{case}");
        setting.prepare();
    }
}

fn repeatable_operations_are_retried_and_report_their_result<S: Store>(kind: Kind<S>) {
    let setting = Setting::new(kind);
    let store = &setting.store;
    for cut in CUTS {
        let key = setting.session();
        setting.proxy.cut(1, cut);
        assert!(store.touch(&key, Expiry::After(TimeDelta::weeks(2))).unwrap(), "{cut:?}");
        setting.proxy.cut(1, cut);
        store.set(&key, "2", None).unwrap();
        setting.proxy.cut(1, cut);
        store.bind(&key, "alice").unwrap();
        assert_eq!(store.find(&key).unwrap().owner.as_deref(), Some("alice"));
        setting.prepare();
        // `clear_listed` first lists, and then deletes.
        setting.proxy.cut(2, cut);
        let ended = store.clear_listed("alice", &store.handle(&key)).unwrap();
        // If the answer was lost, the retry finds nothing. It does not claim to have ended a session that another call
        // may have ended.
        assert_eq!(ended, cut == Cut::Request, "{cut:?}");
        assert!(setting.proxy.has_cut());
        assert!(matches!(store.get(&key), Err(Error::NotFound)), "{cut:?}");
        setting.proxy.cut(1, cut);
        store.clear(&key).unwrap();
        assert_eq!(setting.live(), 0);
        setting.prepare();
    }
}

/// The first attempt writes, and its answer is lost. A trigger refuses the second attempt.
fn an_error_after_a_lost_answer_may_have_taken_effect<S: Store>(kind: Kind<S>) {
    let setting = Setting::new(kind);
    let key = setting.session();
    run_on(&setting.url, setting.kind.refusing);
    setting.proxy.cut(1, Cut::Answer);
    let error = setting.store.set(&key, "2", None).unwrap_err();
    assert!(setting.proxy.has_cut());
    assert!(matches!(error, Error::Database(_)) && error.may_have_taken_effect(), "{error:?}");
    assert_eq!(setting.store.get(&key).unwrap().0, "2");
}

/// The store detects a connection that broke while it was idle, before it sends anything on it.
fn a_replace_works_if_its_connection_broke_in_the_pool<S: Store>(kind: Kind<S>) {
    let setting = Setting::new(kind);
    let key = setting.session();
    setting.proxy.cut(1, Cut::Request);
    setting.store.replace(&key, Some("1"), "2", Expiry::Default).unwrap();
    assert!(setting.proxy.has_cut());
    assert_eq!(setting.store.get(&key).unwrap().0, "2");
    // A `replace` that expects another value was not made, and the store knows this.
    setting.proxy.cut(1, Cut::Request);
    let other = setting.store.replace(&key, Some("1"), "3", Expiry::Default);
    assert!(setting.proxy.has_cut() && matches!(other, Err(Error::Changed)), "{other:?}");
}

/// A framework's session is created, saved, loaded and renewed. Each step takes effect once and succeeds, whichever
/// answers are lost.
async fn a_visit_is_kept<W: WebStore>(web: W, proxy: &Proxy) {
    let store = TowerSessionStore::new(web).owner_from("user");
    let record = || {
        let data = [("user".to_owned(), "alice".into())].into();
        Record { id: Id::default(), data, expiry_date: OffsetDateTime::now_utc() + Duration::hours(1) }
    };
    // Runs each statement once. From then on, a statement is one request.
    let prepare = async || {
        let mut other = record();
        store.create(&mut other).await.unwrap();
        store.save(&other).await.unwrap();
        store.load(&other.id).await.unwrap().unwrap();
        store.delete(&other.id).await.unwrap();
    };
    for cut in CUTS {
        let mut visit = record();
        prepare().await;
        proxy.cut(1, cut);
        store.create(&mut visit).await.unwrap();
        prepare().await;
        proxy.cut(1, cut);
        store.save(&visit).await.unwrap();
        prepare().await;
        proxy.cut(1, cut);
        let mut loaded = store.load(&visit.id).await.unwrap().unwrap();
        prepare().await;
        proxy.cut(1, cut);
        // The first statement of a renewal finds nothing, and the second parks the session.
        store.delete(&loaded.id).await.unwrap();
        assert!(proxy.has_cut());
        store.create(&mut loaded).await.unwrap();
        store.delete(&loaded.id).await.unwrap();
    }
}

/// The same late INSERT, of a framework's session.
async fn a_create_that_comes_late<W: WebStore>(web: W, proxy: &Proxy) -> Id {
    let store = TowerSessionStore::new(web);
    let visit = async || {
        let expiry_date = OffsetDateTime::now_utc() + Duration::hours(1);
        let mut visit = Record { id: Id::default(), data: [].into(), expiry_date };
        store.create(&mut visit).await.unwrap();
        store.delete(&visit.id).await.unwrap();
        visit.id
    };
    visit().await;
    proxy.cut(1, Cut::Late);
    let id = visit().await;
    assert!(proxy.has_cut());
    proxy.deliver();
    id
}

#[test]
fn a_create_that_comes_late_revives_no_session_of_a_framework() {
    async fn is_dead<W: WebStore>(web: W, id: Id) -> bool {
        TowerSessionStore::new(web).load(&id).await.unwrap().is_none()
    }
    let setting = Setting::new(blocking());
    let (web, runtime) = (Blocking::from(setting.store.clone()), runtime());
    let id = runtime.block_on(a_create_that_comes_late(web.clone(), &setting.proxy));
    setting.wait_for_the_late_one();
    assert!(runtime.block_on(is_dead(web, id)));
    let setting = Setting::new(asynchronous());
    let web = setting.store.store().clone();
    let id = setting.store.block_on(a_create_that_comes_late(web.clone(), &setting.proxy));
    setting.wait_for_the_late_one();
    assert!(setting.store.block_on(is_dead(web, id)));
}

#[test]
fn a_visit_survives_lost_answers_on_either_store() {
    let setting = Setting::new(blocking());
    runtime().block_on(a_visit_is_kept(Blocking::from(setting.store.clone()), &setting.proxy));
    assert_eq!(setting.live(), 0);
    let setting = Setting::new(asynchronous());
    setting.store.block_on(a_visit_is_kept(setting.store.store().clone(), &setting.proxy));
    assert_eq!(setting.live(), 0);
}

/// The store never retries a transaction of the caller's, so a rotation in a lost transaction has no effect.
#[test]
fn a_rotation_in_a_transaction_that_is_lost_leaves_the_old_key() {
    let setting = Setting::new(blocking());
    let old = setting.session();
    let mut conn = setting.store.pool().get().unwrap();
    let mut new = None;
    let lost = diesel::Connection::transaction(&mut *conn, |conn| {
        new = Some(setting.store.on(conn).rotate(&old)?);
        setting.proxy.cut(1, Cut::Request);
        setting.store.on(conn).get(&old).map(drop)
    });
    assert!(matches!(lost, Err(Error::Database(_))), "{lost:?}");
    drop(conn);
    assert_eq!(setting.live(), 1);
    assert_eq!(setting.store.get(&old).unwrap().0, "1");
    assert!(matches!(setting.store.get(&new.unwrap()), Err(Error::NotFound)));
}
