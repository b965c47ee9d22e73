//! Every law of `Now` and `Sessions`, on a distributed table. Reads use the workers' clocks, so these laws hold only if
//! all clocks of the cluster agree.

mod pool {
    use diesel_session::OwnerLimit;

    use crate::cluster::Distributed;
    use crate::support::{Postgres, bounded};

    fn with_store(law: impl FnOnce(&Postgres)) {
        let table = Distributed::new();
        law(&table.store(Postgres::builder()));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Postgres)) {
        let table = Distributed::new();
        law(&table.store(bounded(limit)));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod transaction {
    use diesel::PgConnection;
    use diesel_session::{OnConnection, OwnerLimit};

    use crate::cluster::Distributed;
    use crate::support::{Postgres, bounded, in_transaction};

    fn with_store(law: impl FnOnce(&OnConnection<'_, PgConnection>)) {
        let table = Distributed::new();
        in_transaction(&table.store(Postgres::builder()), law);
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&OnConnection<'_, PgConnection>)) {
        let table = Distributed::new();
        in_transaction(&table.store(bounded(limit)), law);
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod asynchronous {
    use diesel_session::{AsyncDieselSession, OwnerLimit};

    use crate::cluster::Distributed;
    use crate::support::bounded;
    use crate::waiting::{Waiting, made};

    fn with_store(law: impl FnOnce(&Waiting<AsyncDieselSession>)) {
        let table = Distributed::new();
        law(&made(table.async_store(AsyncDieselSession::builder().pipelined(2))));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Waiting<AsyncDieselSession>)) {
        let table = Distributed::new();
        law(&made(table.async_store(bounded(limit))));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}
