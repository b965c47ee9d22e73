//! The stores that the load falls on.

use std::time::Duration;

use anyhow::Result;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Error as PoolError, Pool};
use diesel_session::{
    AsyncDieselSession, AsyncNow, AsyncSessions, DieselSession, Error, Expiry, Now, SessionKey, Sessions,
    Sweeper, TimeDelta,
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

/// Which store a client has, and on what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Store {
    /// Which one.
    pub kind: Kind,
    /// The database's address: what the store's own `connect` takes.
    pub address: String,
    /// Connections of its pool.
    pub pool_size: u32,
    /// The wait for a connection; on SQLite the crate's default.
    pub connection_timeout: Duration,
    /// The wait for a statement; over the application's pool the pool's own.
    pub statement_timeout: Duration,
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
    /// The same, whose reads share two connections.
    Pipelined,
    /// `DieselSession` on SQLite.
    Sqlite,
    /// The same, over a pool of the application's, whose file may have 100 pages.
    SqliteOfFewPages,
}

impl Store {
    /// A store with the crate's default settings.
    #[must_use]
    pub fn new(kind: Kind, address: &str) -> Self {
        let default = Duration::from_secs(5);
        Self {
            kind,
            address: address.to_owned(),
            pool_size: 8,
            connection_timeout: default,
            statement_timeout: default,
        }
    }

    /// With as many connections.
    #[must_use]
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.pool_size = connections;
        self
    }

    /// With these timeouts: for a connection, and for a statement.
    #[must_use]
    pub fn timeouts(mut self, connection: Duration, statement: Duration) -> Self {
        self.connection_timeout = connection;
        self.statement_timeout = statement;
        self
    }

    /// The store itself, migrated.
    pub fn open(&self) -> Result<Box<dyn Target>> {
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
        Ok(match self.kind {
            Kind::Blocking => migrated(postgres().connect(&self.address)?)?,
            Kind::BehindPgBouncer => migrated(postgres().pgbouncer(true).connect(&self.address)?)?,
            Kind::Asynchronous => Box::new(Waited::new(asynchronous().connect(&self.address))?),
            Kind::Pipelined => Box::new(Waited::new(asynchronous().pipelined(2).connect(&self.address))?),
            Kind::Sqlite => {
                let builder = DieselSession::<SqliteConnection>::builder().pool_size(self.pool_size);
                let store = builder.statement_timeout(statement_timeout).connect(&self.address)?;
                store.migrate()?;
                Box::new(store)
            }
            Kind::SqliteOfFewPages => {
                let pool = Pool::builder()
                    .max_size(self.pool_size)
                    .connection_customizer(Box::new(FewPages))
                    .build(ConnectionManager::new(&self.address))?;
                let store = DieselSession::<SqliteConnection>::new(pool);
                store.migrate()?;
                Box::new(store)
            }
        })
    }
}

fn migrated(store: DieselSession<PgConnection>) -> Result<Box<dyn Target>> {
    store.migrate()?;
    Ok(Box::new(store))
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

/// What the load asks of a store; each call is the crate's of the same name.
pub trait Target: Send + Sync {
    /// [`Now::generate`].
    fn generate(&self, value: &str, expiry: Option<TimeDelta>) -> Result<SessionKey, Error>;
    /// [`Now::get`].
    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error>;
    /// [`Now::set`].
    fn set(&self, key: &SessionKey, value: &str) -> Result<(), Error>;
    /// [`Sessions::update`] to a value, whatever the old one is.
    fn update(&self, key: &SessionKey, value: &str) -> Result<(), Error>;
    /// [`Sessions::update`] of a number to the next.
    fn count(&self, key: &SessionKey) -> Result<(), Error>;
    /// [`Sessions::replace`].
    fn replace(&self, key: &SessionKey, expected: &str, value: &str) -> Result<(), Error>;
    /// [`Sessions::touch`].
    fn touch(&self, key: &SessionKey, expiry: Expiry) -> Result<(), Error>;
    /// [`Sessions::rotate`].
    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error>;
    /// [`Now::clear`].
    fn clear(&self, key: &SessionKey) -> Result<(), Error>;
    /// [`Sessions::count`] of those that live.
    fn live(&self) -> Result<u64, Error>;
    /// A sweeper over this store, several times a second.
    fn sweeper(&self) -> Result<Sweeper, Error>;
}

/// A value that is no number begins anew, which the ledger notices.
fn next(number: Option<String>) -> String {
    let number: u64 = number.and_then(|number| number.parse().ok()).unwrap_or(0);
    (number + 1).to_string()
}

const SWEEP: TimeDelta = TimeDelta::milliseconds(200);

impl<S> Target for S
where
    S: Sessions + Clone + Send + Sync + 'static,
{
    fn generate(&self, value: &str, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        Now::generate(self, Some(value), expiry)
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        Now::get(self, key)
    }

    fn set(&self, key: &SessionKey, value: &str) -> Result<(), Error> {
        Now::set(self, key, value, None)
    }

    fn update(&self, key: &SessionKey, value: &str) -> Result<(), Error> {
        Sessions::update(self, key, Expiry::Default, |_| Ok::<_, Error>(value.to_owned())).map(drop)
    }

    fn count(&self, key: &SessionKey) -> Result<(), Error> {
        Sessions::update(self, key, Expiry::Default, |number| Ok::<_, Error>(next(number))).map(drop)
    }

    fn replace(&self, key: &SessionKey, expected: &str, value: &str) -> Result<(), Error> {
        Sessions::replace(self, key, Some(expected), value, Expiry::Default)
    }

    fn touch(&self, key: &SessionKey, expiry: Expiry) -> Result<(), Error> {
        Sessions::touch(self, key, expiry).map(drop)
    }

    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        Sessions::rotate(self, key)
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        Now::clear(self, key)
    }

    fn live(&self) -> Result<u64, Error> {
        Sessions::count(self).map(|count| count.live)
    }

    fn sweeper(&self) -> Result<Sweeper, Error> {
        Sweeper::builder(self.clone()).interval(SWEEP).jitter(TimeDelta::zero()).start()
    }
}

/// An asynchronous store, waited for by the threads of the load.
struct Waited {
    store: AsyncDieselSession,
    runtime: Runtime,
}

impl Waited {
    fn new(connecting: impl Future<Output = Result<AsyncDieselSession, Error>>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let store = runtime.block_on(async {
            let store = connecting.await?;
            store.migrate().await?;
            Ok::<_, Error>(store)
        })?;
        Ok(Self { store, runtime })
    }
}

impl Target for Waited {
    fn generate(&self, value: &str, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        self.runtime.block_on(self.store.generate(Some(value), expiry))
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        self.runtime.block_on(self.store.get(key))
    }

    fn set(&self, key: &SessionKey, value: &str) -> Result<(), Error> {
        self.runtime.block_on(self.store.set(key, value, None))
    }

    fn update(&self, key: &SessionKey, value: &str) -> Result<(), Error> {
        let value = value.to_owned();
        let change = move |_| Ok::<_, Error>(value.clone());
        self.runtime.block_on(self.store.update(key, Expiry::Default, change)).map(drop)
    }

    fn count(&self, key: &SessionKey) -> Result<(), Error> {
        let change = |number| Ok::<_, Error>(next(number));
        self.runtime.block_on(self.store.update(key, Expiry::Default, change)).map(drop)
    }

    fn replace(&self, key: &SessionKey, expected: &str, value: &str) -> Result<(), Error> {
        self.runtime.block_on(self.store.replace(key, Some(expected), value, Expiry::Default))
    }

    fn touch(&self, key: &SessionKey, expiry: Expiry) -> Result<(), Error> {
        self.runtime.block_on(self.store.touch(key, expiry)).map(drop)
    }

    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        self.runtime.block_on(self.store.rotate(key))
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        self.runtime.block_on(self.store.clear(key))
    }

    fn live(&self) -> Result<u64, Error> {
        self.runtime.block_on(self.store.count()).map(|count| count.live)
    }

    fn sweeper(&self) -> Result<Sweeper, Error> {
        let _entered = self.runtime.enter();
        Sweeper::builder_async(self.store.clone()).interval(SWEEP).jitter(TimeDelta::zero()).start()
    }
}
