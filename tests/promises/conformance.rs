//! Every law of `Now`, on every store.

use std::sync::Mutex;

use chrono::TimeDelta;
use diesel::r2d2::{ConnectionManager, PooledConnection};
use diesel_session::{DieselSession, Error, Now, SessionConnection, SessionKey};

/// A store on a connection that the caller holds, in a transaction that the caller has opened.
struct InTransaction<C: SessionConnection> {
    store: DieselSession<C>,
    conn: Mutex<PooledConnection<ConnectionManager<C>>>,
}

impl<C: SessionConnection> InTransaction<C> {
    fn new(store: DieselSession<C>) -> Self {
        let mut conn = store.pool().get().unwrap();
        conn.begin_test_transaction().unwrap();
        Self { store, conn: Mutex::new(conn) }
    }
}

impl<C: SessionConnection> Now for InTransaction<C> {
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
        self.store.on(&mut self.conn.lock().unwrap()).generate(value.as_deref(), expiry)
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        self.store.on(&mut self.conn.lock().unwrap()).clear(key)
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        self.store.on(&mut self.conn.lock().unwrap()).get(key)
    }

    fn set(&self, key: &SessionKey, value: String, expiry: Option<TimeDelta>) -> Result<(), Error> {
        self.store.on(&mut self.conn.lock().unwrap()).set(key, &value, expiry)
    }
}

mod memory {
    use diesel_session::MemorySession;

    fn with_store(law: impl FnOnce(&MemorySession)) {
        law(&MemorySession::new());
    }

    diesel_session::conformance_tests!(with_store);
}

mod sqlite_pool {
    use crate::support::{File, Sqlite};

    fn with_store(law: impl FnOnce(&Sqlite)) {
        law(&File::new().store());
    }

    diesel_session::conformance_tests!(with_store);
}

mod sqlite_transaction {
    use diesel::SqliteConnection;

    use super::InTransaction;
    use crate::support::File;

    fn with_store(law: impl FnOnce(&InTransaction<SqliteConnection>)) {
        law(&InTransaction::new(File::new().store()));
    }

    diesel_session::conformance_tests!(with_store);
}

mod postgres_pool {
    use crate::support::{Database, Postgres};

    fn with_store(law: impl FnOnce(&Postgres)) {
        let database = Database::new();
        law(&database.store());
    }

    diesel_session::conformance_tests!(with_store);
}

mod postgres_transaction {
    use diesel::PgConnection;

    use super::InTransaction;
    use crate::support::Database;

    fn with_store(law: impl FnOnce(&InTransaction<PgConnection>)) {
        let database = Database::new();
        law(&InTransaction::new(database.store()));
    }

    diesel_session::conformance_tests!(with_store);
}

mod postgres_plain_keys {
    use diesel_session::KeyStorage;

    use crate::support::{Database, Postgres};

    fn with_store(law: impl FnOnce(&Postgres)) {
        let database = Database::new();
        let store = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
        store.migrate().unwrap();
        law(&store);
    }

    diesel_session::conformance_tests!(with_store);
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
    shareable::<crate::support::Postgres>();
    shareable::<crate::support::Sqlite>();
    shareable::<diesel_session::MemorySession>();
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
