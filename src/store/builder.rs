//! Settings for a store.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Error as ConnectionError, Pool};

use super::DieselSession;
use super::bounded::Helpers;
use crate::backend::SessionConnection;
use crate::connect::ConnectionSettings;
use crate::error::Error;
use crate::key::KeyStorage;
use crate::rules::{DEFAULT_PERIOD, DEFAULT_VALUE_LIMIT, Period, Rules};

/// Connections of a pool that was given no size.
const POOL_SIZE: u32 = 8;

const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Settings for a [`DieselSession`], from [`DieselSession::builder`]; each has a default.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use diesel::sqlite::SqliteConnection;
/// use diesel_session::{DieselSession, Now, TimeDelta};
///
/// let sessions = DieselSession::<SqliteConnection>::builder()
///     .default_period(TimeDelta::minutes(30))
///     .value_limit(64 * 1024)
///     .connect(":memory:")?;
/// assert_eq!(sessions.default_period(), TimeDelta::minutes(30));
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[must_use]
pub struct Builder<C> {
    default_period: TimeDelta,
    key_storage: KeyStorage,
    value_limit: usize,
    pub(super) pool: PoolSettings,
    marker: PhantomData<fn(C)>,
}

/// The settings of a pool that we build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PoolSettings {
    size: Option<u32>,
    min_idle: u32,
    pub(super) bounded_calls: bool,
    pub(super) connection: ConnectionSettings,
}

impl<C: SessionConnection> Builder<C> {
    /// The period of sessions that are generated or set without an expiry of their own.
    ///
    /// Defaults to one week, as in OCaml's `session-postgresql`.
    pub fn default_period(mut self, period: TimeDelta) -> Self {
        self.default_period = period;
        self
    }

    /// The form in which the database holds keys. Defaults to [`KeyStorage::Hashed`].
    pub fn key_storage(mut self, storage: KeyStorage) -> Self {
        self.key_storage = storage;
        self
    }

    /// The largest value, in bytes. Defaults to 1 MiB.
    pub fn value_limit(mut self, bytes: usize) -> Self {
        self.value_limit = bytes;
        self
    }

    /// The most connections that the pool holds. Defaults to 8; to 1 for an SQLite database in memory,
    /// which is private to its connection.
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.pool.size = Some(connections);
        self
    }

    /// The fewest idle connections that the pool tries to keep, at least one. Defaults to 1.
    pub fn min_idle(mut self, connections: u32) -> Self {
        self.pool.min_idle = connections;
        self
    }

    /// How long a call waits for a free connection, and the pool for a new one (which libpq rounds up to
    /// whole seconds, at least two). Defaults to 5 seconds.
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.pool.connection.connection_timeout = timeout;
        self
    }

    /// How long one statement may take. Defaults to 5 seconds.
    ///
    /// On PostgreSQL the server ends a statement after that time (`statement_timeout`, set on each new
    /// connection unless the role, the environment or the caller's options have one; not behind PgBouncer),
    /// and unacknowledged data ends the connection (`tcp_user_timeout`). On SQLite it is how long a statement
    /// waits for another's lock (`busy_timeout`).
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.pool.connection.statement_timeout = timeout;
        self
    }

    /// A store with these rules over the application's own pool, as [`DieselSession::new`].
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] where a setting of the pool was changed here: the pool has its own.
    /// [`Error::PeriodOutOfRange`] for a default period that no database can hold.
    pub fn over(self, pool: Pool<ConnectionManager<C>>) -> Result<DieselSession<C>, Error> {
        if self.pool != PoolSettings::default() {
            return Err(Error::Configuration {
                setting: "pool",
                reason: "settings of connections do not apply to a pool that exists: make them there"
                    .to_owned(),
            });
        }
        Ok(DieselSession::over(pool, self.rules()?))
    }

    /// These rules alone, for connections that you hold.
    ///
    /// # Errors
    ///
    /// [`Error::PeriodOutOfRange`] for a default period that no database can hold.
    pub fn rules(&self) -> Result<Rules, Error> {
        Ok(Rules::new(Period::new(self.default_period)?, self.key_storage, self.value_limit))
    }

    /// The store, over a pool of its own.
    ///
    /// On PostgreSQL `url` is a URL or a string of `keyword=value` pairs, as in PostgreSQL's manual
    /// ("Connection Strings").
    ///
    /// On SQLite it is a file, made when it is missing; a `file:` URI; or `:memory:`. Connections write ahead
    /// (`journal_mode = WAL`) with `synchronous = NORMAL`: a crash of the process loses nothing, a loss of
    /// power may lose the last writes and never damages the file (SQLite's manual, "Write-Ahead Logging").
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for settings that do not fit, or a string that is no address;
    /// [`Error::PeriodOutOfRange`] for the default period; [`Error::PoolTimeout`] where no connection could be
    /// made within the connection timeout.
    pub fn connect(self, url: &str) -> Result<DieselSession<C>, Error> {
        let address = C::address(url, &self.pool.connection)?;
        let set_up = C::set_up(&self.pool.connection);
        self.build(&address, set_up, true)
    }

    #[cfg(feature = "testing")]
    pub(crate) fn connection_settings(&self) -> &ConnectionSettings {
        &self.pool.connection
    }

    #[cfg(feature = "testing")]
    pub(crate) fn only_one_connection(mut self) -> Result<Self, Error> {
        match self.pool.size.replace(1) {
            None | Some(1) => Ok(self),
            Some(_) => Err(Error::Configuration {
                setting: "pool_size",
                reason: "a test's transaction is private to its one connection".to_owned(),
            }),
        }
    }

    /// The store over a new pool; `wait` says to wait for its first connection.
    pub(crate) fn build(
        self,
        address: &str,
        set_up: Box<dyn CustomizeConnection<C, ConnectionError>>,
        wait: bool,
    ) -> Result<DieselSession<C>, Error> {
        let rules = self.rules()?;
        let ConnectionSettings { connection_timeout, statement_timeout, .. } = self.pool.connection;
        let is_private = C::is_private(address);
        let size = self.pool.checked_size(is_private)?;
        let mut builder = Pool::builder()
            .max_size(size)
            .min_idle(Some(self.pool.min_idle))
            .connection_timeout(connection_timeout)
            .test_on_check_out(false)
            .connection_customizer(set_up);
        if is_private {
            // The database lives as long as its connection.
            builder = builder.idle_timeout(None).max_lifetime(None);
        }
        let manager = ConnectionManager::new(address);
        let pool = if wait {
            let timeout = |source| Error::PoolTimeout { waited: connection_timeout, source };
            builder.build(manager).map_err(timeout)?
        } else {
            builder.build_unchecked(manager)
        };
        Ok(DieselSession {
            pool,
            rules: Arc::new(rules),
            call_timeout: connection_timeout + statement_timeout,
            helpers: (C::REMOTE && self.pool.bounded_calls).then(Helpers::default),
        })
    }
}

impl PoolSettings {
    /// The pool's size, if all settings fit: where they do not, r2d2 panics.
    fn checked_size(&self, is_private: bool) -> Result<u32, Error> {
        let refuse = |setting, reason: &str| Err(Error::Configuration { setting, reason: reason.to_owned() });
        let size = self.size.unwrap_or(if is_private { 1 } else { POOL_SIZE });
        let ConnectionSettings { connection_timeout, statement_timeout, .. } = self.connection;
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
            return refuse("connection_timeout", "more than nothing, and at most a day");
        }
        if statement_timeout < Duration::from_millis(1) || statement_timeout > LONGEST_TIMEOUT {
            return refuse("statement_timeout", "at least a millisecond, and at most a day");
        }
        Ok(size)
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            size: None,
            min_idle: 1,
            bounded_calls: true,
            connection: ConnectionSettings {
                connection_timeout: Duration::from_secs(5),
                statement_timeout: Duration::from_secs(5),
                pgbouncer: false,
            },
        }
    }
}

impl<C> Default for Builder<C> {
    fn default() -> Self {
        Self {
            default_period: DEFAULT_PERIOD,
            key_storage: KeyStorage::default(),
            value_limit: DEFAULT_VALUE_LIMIT,
            pool: PoolSettings::default(),
            marker: PhantomData,
        }
    }
}

impl<C> fmt::Debug for Builder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("default_period", &self.default_period)
            .field("key_storage", &self.key_storage)
            .field("value_limit", &self.value_limit)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}
