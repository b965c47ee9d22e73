//! Every law of `Now` and `Sessions`, on every store.

use chrono::TimeDelta;
use diesel_session::{Error, Expiry, Now, SessionKey, Sessions};

use crate::support::bounded;

mod memory {
    use diesel::SqliteConnection;
    use diesel_session::{MemorySession, OwnerLimit};

    fn with_store(law: impl FnOnce(&MemorySession)) {
        law(&MemorySession::new());
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&MemorySession)) {
        law(&MemorySession::with_options(super::bounded::<SqliteConnection, ()>(limit).options().unwrap()));
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
        let options = super::bounded::<SqliteConnection, ()>(limit).options().unwrap();
        law(&Box::new(Arc::new(MemorySession::with_options(options))));
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
    use diesel_session::{OnConnection, OwnerLimit};

    use crate::support::{File, in_transaction};

    fn with_store(law: impl FnOnce(&OnConnection<'_, SqliteConnection>)) {
        in_transaction(&File::new().store(), law);
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&OnConnection<'_, SqliteConnection>)) {
        in_transaction(&File::new().store_with(super::bounded(limit)), law);
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod sqlite_connection {
    use diesel::SqliteConnection;
    use diesel_session::{OnConnection, OwnerLimit};

    use crate::support::{File, outside_transactions};

    fn with_store(law: impl FnOnce(&OnConnection<'_, SqliteConnection>)) {
        outside_transactions(&File::new().store(), law);
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&OnConnection<'_, SqliteConnection>)) {
        outside_transactions(&File::new().store_with(super::bounded(limit)), law);
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
    use diesel_session::{OnConnection, OwnerLimit};

    use crate::support::{Database, in_transaction};

    fn with_store(law: impl FnOnce(&OnConnection<'_, PgConnection>)) {
        let database = Database::new();
        in_transaction(&database.store(), law);
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&OnConnection<'_, PgConnection>)) {
        let database = Database::new();
        in_transaction(&database.store_with(super::bounded(limit)), law);
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod postgres_connection {
    use diesel::PgConnection;
    use diesel_session::{OnConnection, OwnerLimit};

    use crate::support::{Database, outside_transactions};

    fn with_store(law: impl FnOnce(&OnConnection<'_, PgConnection>)) {
        let database = Database::new();
        outside_transactions(&database.store(), law);
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&OnConnection<'_, PgConnection>)) {
        let database = Database::new();
        outside_transactions(&database.store_with(super::bounded(limit)), law);
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

mod mysql_pool {
    use diesel_session::OwnerLimit;

    use crate::support::{MariaDb, Mysql};

    fn with_store(law: impl FnOnce(&Mysql)) {
        let database = MariaDb::new();
        law(&database.store());
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Mysql)) {
        let database = MariaDb::new();
        law(&database.store_with(super::bounded(limit)));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod mysql_transaction {
    use diesel::MysqlConnection;
    use diesel_session::{OnConnection, OwnerLimit};

    use crate::support::{MariaDb, in_transaction};

    fn with_store(law: impl FnOnce(&OnConnection<'_, MysqlConnection>)) {
        let database = MariaDb::new();
        in_transaction(&database.store(), law);
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&OnConnection<'_, MysqlConnection>)) {
        let database = MariaDb::new();
        in_transaction(&database.store_with(super::bounded(limit)), law);
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod mysql_connection {
    use diesel::MysqlConnection;
    use diesel_session::{OnConnection, OwnerLimit};

    use crate::support::{MariaDb, outside_transactions};

    fn with_store(law: impl FnOnce(&OnConnection<'_, MysqlConnection>)) {
        let database = MariaDb::new();
        outside_transactions(&database.store(), law);
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&OnConnection<'_, MysqlConnection>)) {
        let database = MariaDb::new();
        outside_transactions(&database.store_with(super::bounded(limit)), law);
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
}

#[test]
fn a_pointer_to_a_store_is_a_store() {
    fn generates(store: impl Now<Key = SessionKey, Value = str, Period = TimeDelta, Error = Error>) {
        store.generate(None, None).unwrap();
    }
    let store = diesel_session::MemorySession::new();
    generates(&store);
    generates(std::sync::Arc::new(store.clone()));
    generates(Box::new(store.clone()));
    let unknown: &dyn Now<Key = SessionKey, Value = str, Period = TimeDelta, Error = Error> = &store;
    generates(unknown);
    assert_eq!(store.count().unwrap().live, 4);
}

/// A program that chooses its database when it starts.
#[test]
fn a_store_can_be_chosen_at_run_time() {
    let file = crate::support::File::new();
    let stores: [Box<dyn Sessions>; 2] =
        [Box::new(diesel_session::MemorySession::new()), Box::new(file.store())];
    for sessions in stores {
        let key = sessions.generate_for("alice", Some("x"), None).unwrap();
        sessions.put(&key, "y", Expiry::Keep).unwrap();
        assert_eq!(sessions.find(&key).unwrap().value.as_deref(), Some("y"));
        assert_eq!(sessions.clear_owner("alice", None).unwrap(), 1);
    }
}
