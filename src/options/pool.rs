//! Settings of a pool that the store builds.

use std::time::Duration;

use crate::error::Error;
use crate::table::Schema;

/// The size of a pool if none was set.
const POOL_SIZE: u32 = 8;

const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings of one connection of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSettings {
    pub(crate) connection_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) pgbouncer: bool,
    /// Whether each commit waits for the disk. Only some databases let the client choose.
    pub(crate) waits_for_disk: bool,
    pub(crate) schema: Option<Schema>,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            connection_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
            pgbouncer: false,
            waits_for_disk: false,
            schema: None,
        }
    }
}

impl ConnectionSettings {
    /// Returns how long one of several hosts may take to accept a connection. So a silent host leaves time for the
    /// others. The result is at least libpq's two seconds, but not more than the connection timeout.
    #[cfg(any(feature = "postgres", feature = "diesel-async"))]
    pub(crate) fn time_of_each(&self, hosts: usize) -> Duration {
        const SHORTEST: Duration = Duration::from_secs(2);
        let hosts = u32::try_from(hosts).unwrap_or(u32::MAX).max(1);
        (self.connection_timeout / hosts).max(SHORTEST).min(self.connection_timeout)
    }

    /// Returns the error for `Builder::schema` behind a pooler in transaction mode.
    #[cfg(any(feature = "postgres", feature = "diesel-async"))]
    pub(crate) fn schema_leaks() -> Error {
        let reason = "in transaction mode it would reach other clients: set the role's search_path instead";
        Error::Configuration { setting: "schema", reason: reason.to_owned() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PoolSettings {
    pub(crate) size: Option<u32>,
    pub(crate) min_idle: u32,
    pub(crate) bounded_calls: bool,
    pub(crate) connection: ConnectionSettings,
}

impl PoolSettings {
    /// Checks the settings, because r2d2 panics if they do not fit. Returns the pool's size.
    pub(crate) fn checked_size(&self, is_private: bool) -> Result<u32, Error> {
        let refuse = |setting, reason: &str| Err(Error::Configuration { setting, reason: reason.to_owned() });
        let size = self.size.unwrap_or(if is_private { 1 } else { POOL_SIZE });
        let ConnectionSettings { connection_timeout, statement_timeout, .. } = self.connection.clone();
        if size == 0 {
            return refuse("pool_size", "at least one connection");
        }
        if is_private && size > 1 {
            return refuse("pool_size", "a database in memory is private to its one connection");
        }
        if self.min_idle == 0 || self.min_idle > size {
            return refuse("min_idle", "at least one connection, and at most as many as the pool holds");
        }
        if connection_timeout.is_zero() || connection_timeout > LONGEST_TIMEOUT {
            return refuse("connection_timeout", "more than zero, and at most a day");
        }
        if statement_timeout < Duration::from_millis(1) || statement_timeout > LONGEST_TIMEOUT {
            return refuse("statement_timeout", "at least a millisecond, and at most a day");
        }
        Ok(size)
    }

    /// Returns the error for settings of a pool that the application built, because such a pool has its own settings.
    pub(crate) fn are_the_pools_own() -> Error {
        let reason = "the store cannot change a pool that exists: set this on the pool itself";
        Error::Configuration { setting: "pool", reason: reason.to_owned() }
    }
}

#[cfg(feature = "testing")]
impl PoolSettings {
    pub(crate) fn only_one_connection(&mut self) -> Result<(), Error> {
        match self.size.replace(1) {
            None | Some(1) => Ok(()),
            Some(_) => Err(Error::Configuration {
                setting: "pool_size",
                reason: "a test's transaction is private to its one connection".to_owned(),
            }),
        }
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { size: None, min_idle: 1, bounded_calls: true, connection: ConnectionSettings::default() }
    }
}
