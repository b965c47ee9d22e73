//! The Citus cluster, and a distributed table for each test.

use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel_session::{AsyncBuilder, AsyncDieselSession, Builder};

use crate::support::{Postgres, Sql as _};

pub(crate) fn url() -> String {
    std::env::var("CITUS_DATABASE_URL")
        .expect("CITUS_DATABASE_URL names the database on the coordinator of a Citus cluster")
}

/// Returns the block of SQL in `docs/scaling.md` that begins with `beginning`.
pub(crate) fn documented(beginning: &str) -> &'static str {
    let blocks = include_str!("../../docs/scaling.md").split("```sql\n").skip(1);
    let mut blocks = blocks.map(|block| block.split("```").next().unwrap());
    blocks.find(|block| block.starts_with(beginning)).expect("docs/scaling.md has such a block")
}

/// A migrated session table in its own schema, distributed by its key. It is dropped with this value.
pub(crate) struct Distributed {
    schema: String,
}

impl Distributed {
    pub(crate) fn new() -> Self {
        Self::out_of(|_| ())
    }

    /// Distributes a local table after `used` has worked on it.
    pub(crate) fn out_of(used: impl FnOnce(&Postgres)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let table = Self { schema: format!("diesel_session_{}_{number}", std::process::id()) };
        let store = Postgres::builder().schema(&table.schema).pool_size(1).connect(&url()).unwrap();
        assert!(store.migrate().unwrap() > 0);
        used(&store);
        let mut conn = table.conn();
        // The first line sets up the cluster, which exists already.
        let lines = documented("SELECT citus_add_node").lines().skip(1);
        lines.for_each(|line| conn.run(line));
        assert!(
            conn.yes(
                "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'session'::regclass)"
            )
        );
        table
    }

    /// Opens a connection whose search path finds the table.
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

    pub(crate) async fn async_store(&self, settings: AsyncBuilder) -> AsyncDieselSession {
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
