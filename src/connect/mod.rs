//! How connections are made and set up, one file a database.

use std::time::Duration;

use diesel::r2d2::{CustomizeConnection, Error as ConnectionError};

use crate::error::Error;

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
    pub(crate) schema: Option<Schema>,
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

/// The name of the schema that a pool's connections look for tables in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema(String);

#[cfg(any(feature = "postgres", feature = "diesel-async"))]
impl Schema {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// PostgreSQL's manual, "Identifiers and Key Words": it would cut a longer name short.
    pub(crate) fn check(&self) -> Result<(), Error> {
        const LONGEST: usize = 63;
        let Self(name) = self;
        // In a search_path `$user` stands for the role's name, quoted or not.
        if name.is_empty() || name.len() > LONGEST || name.contains('\0') || name == "$user" {
            let reason = format!("a name of 1 to {LONGEST} bytes without NUL, other than $user");
            return Err(Error::Configuration { setting: "schema", reason });
        }
        Ok(())
    }

    /// As SQL has it, whatever characters are in it.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
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

    /// What each new connection is told.
    fn set_up(settings: &ConnectionSettings) -> Box<dyn CustomizeConnection<Self, ConnectionError>>;
}
