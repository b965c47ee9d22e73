//! Tests every law on the stores that need no server: in memory, and on SQLite.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod memory {
    use crate::{Builder, MemorySession, OwnerLimit, TimeDelta};

    fn with_store(law: impl FnOnce(&MemorySession)) {
        law(&MemorySession::new());
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&MemorySession)) {
        let builder = Builder::<()>::default().owner_limit(limit).max_lifetime(TimeDelta::hours(1));
        law(&MemorySession::with_options(builder.touch_interval(TimeDelta::zero()).options().unwrap()));
    }

    crate::conformance_tests!(with_store);
    crate::sessions_conformance_tests!(with_store, with_bounds);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel::SqliteConnection;

    use crate::{DieselSession, OwnerLimit, TimeDelta};

    type Store = DieselSession<SqliteConnection>;

    fn with_store(law: impl FnOnce(&Store)) {
        law(&Store::builder().test_transaction(":memory:").unwrap());
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Store)) {
        let builder = Store::builder().owner_limit(limit).max_lifetime(TimeDelta::hours(1));
        law(&builder.touch_interval(TimeDelta::zero()).test_transaction(":memory:").unwrap());
    }

    crate::conformance_tests!(with_store);
    crate::sessions_conformance_tests!(with_store, with_bounds);
}
