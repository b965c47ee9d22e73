//! The cluster, and a distributed table of a test's own.

use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel_async::AsyncPgConnection;
use diesel_session::{AsyncDieselSession, Builder};

use crate::support::{Postgres, Sql as _};

pub(crate) fn url() -> String {
    std::env::var("CITUS_DATABASE_URL")
        .expect("CITUS_DATABASE_URL names the database on the coordinator of a Citus cluster")
}

/// A migrated session table in a schema of its own, distributed by its key; dropped with this value.
pub(crate) struct Distributed {
    schema: String,
}

impl Distributed {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let table = Self { schema: format!("diesel_session_{}_{number}", std::process::id()) };
        let store = Postgres::builder().schema(&table.schema).pool_size(1).connect(&url()).unwrap();
        assert!(store.migrate().unwrap() > 0);
        table.conn().run("SELECT create_distributed_table('session', 'session_key')");
        table
    }

    /// A connection that finds the table.
    pub(crate) fn conn(&self) -> PgConnection {
        let mut conn = PgConnection::establish(&url()).unwrap();
        conn.run(&format!("SET search_path = {}", self.schema));
        conn
    }

    pub(crate) fn store(&self, settings: Builder<PgConnection>) -> Postgres {
        let store = settings.schema(&self.schema).connect(&url()).unwrap();
        store.check().unwrap();
        assert_eq!(store.migrate().unwrap(), 0);
        store
    }

    pub(crate) async fn async_store(&self, settings: Builder<AsyncPgConnection>) -> AsyncDieselSession {
        let store = settings.schema(&self.schema).connect(&url()).await.unwrap();
        store.check().await.unwrap();
        assert_eq!(store.migrate().await.unwrap(), 0);
        store
    }
}

impl Drop for Distributed {
    fn drop(&mut self) {
        let dropped =
            PgConnection::establish(&url()).map_err(|error| error.to_string()).and_then(|mut conn| {
                conn.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.schema))
                    .map_err(|error| error.to_string())
            });
        assert!(dropped.is_ok() || std::thread::panicking(), "{dropped:?}");
    }
}
