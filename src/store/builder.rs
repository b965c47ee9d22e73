//! Settings for a store.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::r2d2::{ConnectionManager, Pool};

use super::DieselSession;
use crate::backend::SessionConnection;
use crate::error::Error;
use crate::key::KeyStorage;
use crate::rules::{DEFAULT_PERIOD, DEFAULT_VALUE_LIMIT, Period, Rules};

/// Settings for a [`DieselSession`], from [`DieselSession::builder`]; each has a default.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use chrono::TimeDelta;
/// use diesel::sqlite::SqliteConnection;
/// use diesel_session::{DieselSession, Now};
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
    connection: PhantomData<fn(C)>,
}

/// The settings of a pool that we build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PoolSettings {
    pub(super) size: Option<u32>,
    pub(super) min_idle: u32,
    pub(super) connection_timeout: Duration,
    pub(super) statement_timeout: Duration,
    pub(super) bounded_calls: bool,
    pub(super) pgbouncer: bool,
}

impl<C: SessionConnection> Builder<C> {
    /// The period of sessions that are generated or set without an expiry of their own.
    ///
    /// Defaults to one week, as the original's.
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
        self.pool.connection_timeout = timeout;
        self
    }

    /// How long one statement may take. Defaults to 5 seconds.
    ///
    /// On PostgreSQL the server ends a statement after that time (`statement_timeout`, set in the
    /// connection's `options`), and unacknowledged data ends the connection (`tcp_user_timeout`). On
    /// SQLite it is how long a statement waits for another's lock (`busy_timeout`).
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.pool.statement_timeout = timeout;
        self
    }

    /// A store with these rules over the application's own pool, as [`DieselSession::new`].
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] where a setting of the pool was changed here: the pool has its own.
    /// [`Error::PeriodOutOfRange`] for a default period that no database can hold.
    pub fn pool(self, pool: Pool<ConnectionManager<C>>) -> Result<DieselSession<C>, Error> {
        if self.pool != PoolSettings::default() {
            return Err(Error::Configuration {
                setting: "pool",
                reason: "settings of the connections do not apply to a pool that exists: make them there"
                    .to_owned(),
            });
        }
        Ok(DieselSession::over(pool, self.rules()?))
    }

    pub(crate) fn rules(&self) -> Result<Rules, Error> {
        Ok(Rules::new(Period::new(self.default_period)?, self.key_storage, self.value_limit))
    }
}

impl PoolSettings {
    /// r2d2's builder with these settings, which panics where they do not fit; so they are checked.
    pub(super) fn r2d2<C: SessionConnection>(
        &self,
        size: u32,
    ) -> Result<diesel::r2d2::Builder<ConnectionManager<C>>, Error> {
        let refuse = |setting, reason: &str| Err(Error::Configuration { setting, reason: reason.to_owned() });
        let longest = Duration::from_secs(24 * 60 * 60);
        if size == 0 {
            return refuse("pool_size", "at least one connection");
        }
        if self.min_idle == 0 || self.min_idle > size {
            return refuse("min_idle", "at least one connection, and at most as many as the pool holds");
        }
        if self.connection_timeout.is_zero() || self.connection_timeout > longest {
            return refuse("connection_timeout", "more than nothing, and at most a day");
        }
        if self.statement_timeout < Duration::from_millis(1) || self.statement_timeout > longest {
            return refuse("statement_timeout", "at least a millisecond, and at most a day");
        }
        Ok(Pool::builder()
            .max_size(size)
            .min_idle(Some(self.min_idle))
            .connection_timeout(self.connection_timeout)
            .test_on_check_out(false))
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            size: None,
            min_idle: 1,
            connection_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
            bounded_calls: true,
            pgbouncer: false,
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
            connection: PhantomData,
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
