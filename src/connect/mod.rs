//! How connections are made and set up, one file a database.

use std::time::Duration;

use diesel::QueryResult;
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError};

use crate::error::Error;
use crate::table::Schema;

#[cfg(feature = "diesel-async")]
pub(crate) mod asynchronous;
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
mod conninfo;
#[cfg(feature = "postgres")]
mod libpq;
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
mod tls;

/// The settings of one connection of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSettings {
    pub(crate) connection_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) pgbouncer: bool,
    #[cfg(feature = "sqlite")]
    pub(crate) synchronous: Synchronous,
    pub(crate) schema: Option<Schema>,
}

/// When SQLite waits for the disk (its manual, "PRAGMA synchronous"), for
/// [`Builder::synchronous`](crate::Builder::synchronous).
#[cfg(feature = "sqlite")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Synchronous {
    /// At checkpoints. A loss of power can undo the last writes: a session that was ended may live again. The default.
    #[default]
    Normal,
    /// At each commit. A loss of power undoes nothing that was acknowledged.
    Full,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            connection_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
            pgbouncer: false,
            #[cfg(feature = "sqlite")]
            synchronous: Synchronous::default(),
            schema: None,
        }
    }
}

impl ConnectionSettings {
    /// How long one of several hosts may take, so that one that is silent leaves time for the others: libpq's two seconds
    /// at least, but no longer than all of them.
    #[cfg(any(feature = "postgres", feature = "diesel-async"))]
    pub(crate) fn time_of_each(&self, hosts: usize) -> Duration {
        const SHORTEST: Duration = Duration::from_secs(2);
        let hosts = u32::try_from(hosts).unwrap_or(u32::MAX).max(1);
        (self.connection_timeout / hosts).max(SHORTEST).min(self.connection_timeout)
    }
}

/// What a pool needs to know of a database.
pub trait Connect: Sized {
    /// Whether the database is at the far end of a connection that can be lost.
    const REMOTE: bool;

    /// What connections are established with, out of what the caller gave.
    fn address(url: &str, settings: &ConnectionSettings) -> Result<String, Error>;

    /// Whether the database is private to one connection and lives as long as it.
    fn is_private(address: &str) -> bool;

    /// What a connection of a pool of the application's is told each time that it is lent.
    fn prepare_borrowed(&mut self) -> QueryResult<()> {
        Ok(())
    }

    /// What each new connection is told.
    fn set_up(settings: &ConnectionSettings) -> Box<dyn CustomizeConnection<Self, ConnectionError>>;
}
