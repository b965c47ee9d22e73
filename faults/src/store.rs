//! A store and its settings, which a test passes to its clients.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Error as PoolError, Pool};
use diesel_session::{AsyncDieselSession, Blocking, DieselSession, Error, TimeDelta};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::target::{Target, Waited};
use crate::web::{Framework, Site};

/// Which store a client uses, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Store {
    /// The kind of store.
    pub kind: Kind,
    /// The address of the database, as the store's `connect` takes it.
    pub address: String,
    /// The size of the pool.
    pub pool_size: u32,
    /// How long a call waits for a connection. On SQLite, the crate's default applies.
    pub connection_timeout: Duration,
    /// The statement timeout. Over the application's pool, the pool's own setting applies.
    pub statement_timeout: Duration,
    /// The framework between the visitors and the store, if any.
    #[serde(default)]
    pub framework: Option<Framework>,
}

/// The stores of the crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// `DieselSession` on PostgreSQL.
    Blocking,
    /// The same, behind `PgBouncer` in transaction mode.
    BehindPgBouncer,
    /// `AsyncDieselSession`.
    Asynchronous,
    /// The same, with two connections that reads share.
    Pipelined,
    /// `DieselSession` on MariaDB.
    Mysql,
    /// `DieselSession` on SQLite.
    Sqlite,
    /// The same, over a pool of the application that limits the file to 100 pages.
    SqliteOfFewPages,
}

impl Store {
    /// Creates a store with the crate's default settings.
    #[must_use]
    pub fn new(kind: Kind, address: &str) -> Self {
        let default = Duration::from_secs(5);
        Self {
            kind,
            address: address.to_owned(),
            pool_size: 8,
            connection_timeout: default,
            statement_timeout: default,
            framework: None,
        }
    }

    /// Makes the load come through this framework's store. Default: none.
    #[must_use]
    pub fn through(mut self, framework: Framework) -> Self {
        self.framework = Some(framework);
        self
    }

    /// Sets the size of the pool. Default: 8.
    #[must_use]
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.pool_size = connections;
        self
    }

    /// Sets the timeout for a connection and the one for a statement. Default: 5 seconds each.
    #[must_use]
    pub fn timeouts(mut self, connection: Duration, statement: Duration) -> Self {
        self.connection_timeout = connection;
        self.statement_timeout = statement;
        self
    }

    /// Opens the store and migrates its table.
    pub fn open(&self) -> Result<Box<dyn Target>> {
        Ok(self.connect()?.target())
    }

    pub(crate) fn connect(&self) -> Result<Connected> {
        let connection_timeout = TimeDelta::from_std(self.connection_timeout)?;
        let statement_timeout = TimeDelta::from_std(self.statement_timeout)?;
        let postgres = || {
            DieselSession::<PgConnection>::builder()
                .pool_size(self.pool_size)
                .connection_timeout(connection_timeout)
                .statement_timeout(statement_timeout)
        };
        let asynchronous = || {
            AsyncDieselSession::builder()
                .pool_size(self.pool_size)
                .connection_timeout(connection_timeout)
                .statement_timeout(statement_timeout)
        };
        let connected = match self.kind {
            Kind::Blocking => Connected::Postgres(postgres().connect(&self.address)?),
            Kind::BehindPgBouncer => Connected::Postgres(postgres().pgbouncer(true).connect(&self.address)?),
            Kind::Asynchronous => return waited(asynchronous().connect(&self.address)),
            Kind::Pipelined => return waited(asynchronous().pipelined(2).connect(&self.address)),
            Kind::Mysql => Connected::Mysql(
                DieselSession::<MysqlConnection>::builder()
                    .pool_size(self.pool_size)
                    .connection_timeout(connection_timeout)
                    .statement_timeout(statement_timeout)
                    .connect(&self.address)?,
            ),
            Kind::Sqlite => {
                let builder = DieselSession::<SqliteConnection>::builder().pool_size(self.pool_size);
                Connected::Sqlite(builder.statement_timeout(statement_timeout).connect(&self.address)?)
            }
            Kind::SqliteOfFewPages => {
                let pool = Pool::builder()
                    .max_size(self.pool_size)
                    .connection_customizer(Box::new(FewPages))
                    .build(ConnectionManager::new(&self.address))?;
                Connected::Sqlite(DieselSession::new(pool))
            }
        };
        match &connected {
            Connected::Mysql(store) => store.migrate()?,
            Connected::Postgres(store) => store.migrate()?,
            Connected::Sqlite(store) => store.migrate()?,
            Connected::Waited(_) => 0,
        };
        Ok(connected)
    }
}

/// An open store.
pub(crate) enum Connected {
    Mysql(DieselSession<MysqlConnection>),
    Postgres(DieselSession<PgConnection>),
    Sqlite(DieselSession<SqliteConnection>),
    Waited(Waited),
}

impl Connected {
    pub(crate) fn target(&self) -> Box<dyn Target> {
        match self {
            Self::Mysql(store) => Box::new(store.clone()),
            Self::Postgres(store) => Box::new(store.clone()),
            Self::Sqlite(store) => Box::new(store.clone()),
            Self::Waited(waited) => Box::new(waited.clone()),
        }
    }

    /// Returns the framework's store over this one.
    pub(crate) fn site(&self, framework: Framework) -> Result<Box<dyn Site>> {
        Ok(match self {
            Self::Mysql(store) => framework.site(Blocking::from(store.clone()), runtime()?),
            Self::Postgres(store) => framework.site(Blocking::from(store.clone()), runtime()?),
            Self::Sqlite(store) => framework.site(Blocking::from(store.clone()), runtime()?),
            Self::Waited(Waited { store, runtime }) => framework.site(store.clone(), runtime.clone()),
        })
    }
}

fn waited(connecting: impl Future<Output = Result<AsyncDieselSession, Error>>) -> Result<Connected> {
    let runtime = runtime()?;
    let store = runtime.block_on(async {
        let store = connecting.await?;
        store.migrate().await?;
        Ok::<_, Error>(store)
    })?;
    Ok(Connected::Waited(Waited { store, runtime }))
}

pub(crate) fn runtime() -> Result<Arc<Runtime>> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(Arc::new(builder.worker_threads(2).enable_all().build()?))
}

#[derive(Debug)]
struct FewPages;

impl CustomizeConnection<SqliteConnection, PoolError> for FewPages {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), PoolError> {
        conn.batch_execute(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
             PRAGMA max_page_count = 100",
        )
        .map_err(PoolError::QueryError)
    }
}
