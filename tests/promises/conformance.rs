//! Every law of `Now` and `Sessions`, on every store.

use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use diesel::r2d2::{ConnectionManager, PooledConnection};
use diesel_session::{
    Builder, DieselSession, Error, Now, OnConnection, OwnedSession, OwnerLimit, SessionConnection,
    SessionCount, SessionHandle, SessionKey, Sessions,
};

/// A store on one connection that the caller holds.
pub(crate) struct OnOneConnection<C: SessionConnection> {
    store: DieselSession<C>,
    conn: Mutex<PooledConnection<ConnectionManager<C>>>,
}

impl<C: SessionConnection> OnOneConnection<C> {
    /// In a transaction that the caller has opened.
    pub(crate) fn in_transaction(store: DieselSession<C>) -> Self {
        let mut conn = store.pool().get().unwrap();
        conn.begin_test_transaction().unwrap();
        Self { store, conn: Mutex::new(conn) }
    }

    fn outside_transactions(store: DieselSession<C>) -> Self {
        let conn = Mutex::new(store.pool().get().unwrap());
        Self { store, conn }
    }

    fn on<T>(&self, work: impl FnOnce(OnConnection<'_, C>) -> T) -> T {
        // A function that panics in an update leaves the connection usable.
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        work(self.store.on(&mut conn))
    }
}

impl<C: SessionConnection> Now for OnOneConnection<C> {
    type Key = SessionKey;
    type Value = String;
    type Period = TimeDelta;
    type Error = Error;

    fn default_period(&self) -> TimeDelta {
        self.store.default_period()
    }

    fn set_default_period(&self, period: TimeDelta) -> Result<(), Error> {
        self.store.set_default_period(period)
    }

    fn generate(&self, value: Option<String>, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        self.on(|mut on| on.generate(value.as_deref(), expiry))
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        self.on(|mut on| on.clear(key))
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        self.on(|mut on| on.get(key))
    }

    fn set(&self, key: &SessionKey, value: String, expiry: Option<TimeDelta>) -> Result<(), Error> {
        self.on(|mut on| on.set(key, &value, expiry))
    }
}

impl<C: SessionConnection> Sessions for OnOneConnection<C> {
    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        self.on(|mut on| on.rotate(key))
    }

    fn touch(&self, key: &SessionKey, expiry: Option<TimeDelta>) -> Result<bool, Error> {
        self.on(|mut on| on.touch(key, expiry))
    }

    fn update<E: From<Error>>(
        &self,
        key: &SessionKey,
        expiry: Option<TimeDelta>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        self.on(|mut on| on.update(key, expiry, change))
    }

    fn replace(
        &self,
        key: &SessionKey,
        expected: Option<String>,
        new: String,
        expiry: Option<TimeDelta>,
    ) -> Result<(), Error> {
        self.on(|mut on| on.replace(key, expected.as_deref(), &new, expiry))
    }

    fn generate_for(
        &self,
        owner: &str,
        value: Option<String>,
        expiry: Option<TimeDelta>,
    ) -> Result<SessionKey, Error> {
        self.on(|mut on| on.generate_for(owner, value.as_deref(), expiry))
    }

    fn bind(&self, key: &SessionKey, owner: &str) -> Result<(), Error> {
        self.on(|mut on| on.bind(key, owner))
    }

    fn owner_of(&self, key: &SessionKey) -> Result<Option<String>, Error> {
        self.on(|mut on| on.owner_of(key))
    }

    fn sessions_of(&self, owner: &str) -> Result<Vec<OwnedSession>, Error> {
        self.on(|mut on| on.sessions_of(owner))
    }

    fn handle(&self, key: &SessionKey) -> SessionHandle {
        self.store.handle(key)
    }

    fn clear_owner(&self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error> {
        self.on(|mut on| on.clear_owner(owner, keep))
    }

    fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Error> {
        self.on(|mut on| on.clear_listed(owner, handle))
    }

    fn count(&self) -> Result<SessionCount, Error> {
        self.on(|mut on| on.count())
    }

    fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        self.on(|mut on| on.delete_expired(limit))
    }
}

/// The rules that the laws of bounds are about.
pub(crate) fn bounded<C>(limit: OwnerLimit) -> Builder<C> {
    let builder = Builder::default().owner_limit(limit).max_lifetime(TimeDelta::hours(1));
    builder.touch_interval(TimeDelta::zero())
}

mod memory {
    use diesel::SqliteConnection;
    use diesel_session::{MemorySession, OwnerLimit};

    fn with_store(law: impl FnOnce(&MemorySession)) {
        law(&MemorySession::new());
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&MemorySession)) {
        law(&MemorySession::with_rules(super::bounded::<SqliteConnection>(limit).rules().unwrap()));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod behind_a_pointer {
    use std::sync::Arc;

    use diesel::SqliteConnection;
    use diesel_session::{MemorySession, OwnerLimit};

    fn with_store(law: impl FnOnce(&Box<Arc<MemorySession>>)) {
        law(&Box::default());
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Box<Arc<MemorySession>>)) {
        let rules = super::bounded::<SqliteConnection>(limit).rules().unwrap();
        law(&Box::new(Arc::new(MemorySession::with_rules(rules))));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod sqlite_pool {
    use diesel_session::OwnerLimit;

    use crate::support::{File, Sqlite};

    fn with_store(law: impl FnOnce(&Sqlite)) {
        law(&File::new().store());
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Sqlite)) {
        law(&File::new().store_with(super::bounded(limit)));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod sqlite_transaction {
    use diesel::SqliteConnection;
    use diesel_session::OwnerLimit;

    use super::OnOneConnection;
    use crate::support::File;

    fn with_store(law: impl FnOnce(&OnOneConnection<SqliteConnection>)) {
        law(&OnOneConnection::in_transaction(File::new().store()));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&OnOneConnection<SqliteConnection>)) {
        law(&OnOneConnection::in_transaction(File::new().store_with(super::bounded(limit))));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod sqlite_connection {
    use diesel::SqliteConnection;
    use diesel_session::OwnerLimit;

    use super::OnOneConnection;
    use crate::support::File;

    fn with_store(law: impl FnOnce(&OnOneConnection<SqliteConnection>)) {
        law(&OnOneConnection::outside_transactions(File::new().store()));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&OnOneConnection<SqliteConnection>)) {
        law(&OnOneConnection::outside_transactions(File::new().store_with(super::bounded(limit))));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod postgres_pool {
    use diesel_session::OwnerLimit;

    use crate::support::{Database, Postgres};

    fn with_store(law: impl FnOnce(&Postgres)) {
        let database = Database::new();
        law(&database.store());
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Postgres)) {
        let database = Database::new();
        law(&database.store_with(super::bounded(limit)));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod postgres_partitioned {
    use diesel_session::OwnerLimit;

    use crate::support::{Database, Postgres};

    fn with_store(law: impl FnOnce(&Postgres)) {
        let database = Database::partitioned();
        law(&database.store());
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Postgres)) {
        let database = Database::partitioned();
        law(&database.store_with(super::bounded(limit)));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod postgres_transaction {
    use diesel::PgConnection;
    use diesel_session::OwnerLimit;

    use super::OnOneConnection;
    use crate::support::Database;

    fn with_store(law: impl FnOnce(&OnOneConnection<PgConnection>)) {
        let database = Database::new();
        law(&OnOneConnection::in_transaction(database.store()));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&OnOneConnection<PgConnection>)) {
        let database = Database::new();
        law(&OnOneConnection::in_transaction(database.store_with(super::bounded(limit))));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod postgres_connection {
    use diesel::PgConnection;
    use diesel_session::OwnerLimit;

    use super::OnOneConnection;
    use crate::support::Database;

    fn with_store(law: impl FnOnce(&OnOneConnection<PgConnection>)) {
        let database = Database::new();
        law(&OnOneConnection::outside_transactions(database.store()));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&OnOneConnection<PgConnection>)) {
        let database = Database::new();
        law(&OnOneConnection::outside_transactions(database.store_with(super::bounded(limit))));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod postgres_plain_keys {
    use diesel_session::{KeyStorage, OwnerLimit};

    use crate::support::{Database, Postgres};

    fn with_store(law: impl FnOnce(&Postgres)) {
        let database = Database::new();
        law(&database.store_with(Postgres::builder().key_storage(KeyStorage::Plain)));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Postgres)) {
        let database = Database::new();
        law(&database.store_with(super::bounded(limit).key_storage(KeyStorage::Plain)));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

#[test]
fn clones_share_the_default_period() {
    let store = crate::support::File::new().store();
    let clone = store.clone();
    store.set_default_period(TimeDelta::minutes(5)).unwrap();
    assert_eq!(clone.default_period(), TimeDelta::minutes(5));
}

#[test]
fn a_store_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync + Clone + 'static>() {}
    fn held_by_many<T: Send + Sync>() {}
    shareable::<crate::support::Postgres>();
    shareable::<crate::support::Sqlite>();
    shareable::<diesel_session::MemorySession>();
    held_by_many::<diesel_session::Sweeper>();
    shareable::<diesel_session::Json<diesel_session::MemorySession, std::cell::RefCell<*const ()>>>();
}

#[test]
fn whatever_points_to_a_store_is_one() {
    fn generates(store: impl Now<Key = SessionKey, Value = String, Period = TimeDelta, Error = Error>) {
        store.generate(None, None).unwrap();
    }
    let store = diesel_session::MemorySession::new();
    generates(&store);
    generates(std::sync::Arc::new(store.clone()));
    generates(Box::new(store));
}
