//! How connections are made and set up, one file a database.

use std::time::Duration;

use diesel::r2d2::{CustomizeConnection, Error as ConnectionError};

use crate::error::Error;

#[cfg(feature = "postgres")]
mod conninfo;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

/// The settings of one connection of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSettings {
    pub(crate) connection_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) pgbouncer: bool,
}

/// What a pool needs to know of a database.
pub trait Connect: Sized {
    /// Whether the database is at the far end of a connection that can be lost.
    const REMOTE: bool;

    /// What connections are established with, out of what the caller gave.
    fn address(url: &str, settings: &ConnectionSettings) -> Result<String, Error>;

    /// Whether the database is private to one connection and lives as long as it.
    fn is_private(address: &str) -> bool;

    /// What each new connection is told.
    fn set_up(settings: &ConnectionSettings) -> Box<dyn CustomizeConnection<Self, ConnectionError>>;
}
