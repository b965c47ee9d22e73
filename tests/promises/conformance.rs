//! Every law of `Now` and `Sessions`, on every store.

use chrono::TimeDelta;
use diesel_session::{Error, Now, SessionKey};

use crate::support::bounded;

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

    use crate::one_connection::OnOneConnection;
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

    use crate::one_connection::OnOneConnection;
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

    use crate::one_connection::OnOneConnection;
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

    use crate::one_connection::OnOneConnection;
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
