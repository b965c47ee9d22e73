//! The builder with the settings of a store.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::r2d2::ConnectionManager;

#[cfg(feature = "diesel-async")]
use super::AsyncSettings;
use super::{ConnectionSettings, Options, OwnerLimit, PoolSettings, ValueLimit};
use crate::error::Error;
use crate::key::KeyStorage;

/// The settings of a new store. Each setting has a default. [`DieselSession::builder`](crate::DieselSession::builder)
/// returns a builder, and so does `AsyncDieselSession::builder` with the feature `diesel-async`.
///
/// `C` is the type of the connections. `P` is where the store gets them from: an r2d2 manager, or a pool of
/// diesel-async connections.
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
pub struct Builder<C, P = ConnectionManager<C>> {
    default_period: Option<TimeDelta>,
    pub(crate) options: Options,
    pub(crate) pool: PoolSettings,
    #[cfg(feature = "diesel-async")]
    pub(crate) asynchronous: AsyncSettings,
    marker: PhantomData<fn(C, P)>,
}

impl<C, P> Builder<C, P> {
    /// Sets the period of sessions that are generated or set without a period. Defaults to one week, as in OCaml's
    /// `session-postgresql`.
    pub fn default_period(mut self, period: TimeDelta) -> Self {
        self.default_period = Some(period);
        self
    }

    /// Sets the timeouts that the standards recommend: a session ends after 30 minutes without use, and after 12 hours
    /// in any case. It sets [`default_period`](Self::default_period) and [`max_lifetime`](Self::max_lifetime).
    ///
    /// These timeouts comply with NIST SP 800-63B at AAL2. Its revision of 2017 asks for 30 minutes and 12 hours, and
    /// that of 2025 for one hour and 24 hours. Higher risks need shorter timeouts: `docs/standards.md` lists them, with
    /// those of OWASP.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use diesel::sqlite::SqliteConnection;
    /// use diesel_session::{DieselSession, Now, TimeDelta};
    ///
    /// let sessions = DieselSession::<SqliteConnection>::builder().recommended_timeouts().connect(":memory:")?;
    /// assert_eq!(sessions.default_period(), TimeDelta::minutes(30));
    /// # }
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    pub fn recommended_timeouts(self) -> Self {
        self.default_period(TimeDelta::minutes(30)).max_lifetime(TimeDelta::hours(12))
    }

    /// Sets the form in which the database stores keys. Defaults to [`KeyStorage::Hashed`].
    pub fn key_storage(mut self, storage: KeyStorage) -> Self {
        self.options.table.key_storage = storage;
        self
    }

    /// Sets the size of the largest value, in bytes. Defaults to 1 MiB.
    pub fn value_limit(mut self, bytes: usize) -> Self {
        self.options.value_limit = ValueLimit::new(bytes);
        self
    }

    /// Sets how long a session may live after it was generated, even if it is in use. This is the absolute timeout of
    /// OWASP's session management cheat sheet. It must be at least 10 milliseconds. Defaults to no limit.
    ///
    /// No operation moves a session's expiry past this limit. So `get` returns the time until the expiry or until the
    /// limit, whichever is earlier. For an adopted session the lifetime begins at the adoption.
    ///
    /// A session that was written under a higher limit, or none, keeps its expiry at first. The limit applies when the
    /// session is next set, put, updated, replaced or rotated, also with [`Expiry::Keep`](crate::Expiry::Keep). Such a
    /// write ends a session that is older than the limit. No other write does.
    ///
    /// On PostgreSQL, this statement applies a limit of twelve hours to all sessions at once: `UPDATE session SET
    /// expire_date = created_on + interval '12 hours' WHERE expire_date > created_on + interval '12 hours'`. On SQLite,
    /// write `created_on + 43200000`, in milliseconds.
    pub fn max_lifetime(mut self, lifetime: TimeDelta) -> Self {
        self.options.max_lifetime = Some(lifetime);
        self
    }

    /// Sets when a [`touch`](crate::Sessions::touch) writes. It writes if the expiry moves by at least this interval,
    /// or by a tenth of the period if that is less. It also writes if the recorded last use is at least this old.
    /// Defaults to one minute. An interval below 10 milliseconds counts as 10 milliseconds.
    pub fn touch_interval(mut self, interval: TimeDelta) -> Self {
        self.options.touch_interval = interval;
        self
    }

    /// Sets how many live sessions one owner may have, and what happens to a further one (ASVS 7.1.2).
    /// [`generate_for`](crate::Sessions::generate_for), [`generate_with`](crate::Sessions::generate_with) and
    /// [`bind`](crate::Sessions::bind) check the limit. Defaults to no limit.
    ///
    /// These operations then lock the owner in a transaction, as [`clear_owner`](crate::Sessions::clear_owner) does.
    /// Inside your own transaction, the lock lasts until that transaction ends. The limit holds under concurrent logins
    /// if all programs set the same limit and use one server (with Citus, one coordinator). If your own transaction has
    /// an isolation stricter than READ COMMITTED, they may miss sessions that others made after it began.
    pub fn owner_limit(mut self, limit: OwnerLimit) -> Self {
        self.options.owner_limit = Some(limit);
        self
    }

    /// Sets the largest number of connections in the pool, at least one. Defaults to 8. For an SQLite database in
    /// memory it defaults to 1 and cannot be more, because such a database is private to its connection.
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.pool.size = Some(connections);
        self
    }

    /// Sets the number of idle connections that the pool tries to keep. It is at least one, and at most the pool's
    /// size. `AsyncDieselSession` opens that many when it is built, and does not keep that number later. Defaults to 1.
    pub fn min_idle(mut self, connections: u32) -> Self {
        self.pool.min_idle = connections;
        self
    }

    /// Sets how long a call waits for a free connection, and how long the pool waits for a new one. For a new one,
    /// libpq rounds this up to whole seconds, at least two. If the address names several hosts, each has an equal share
    /// before the next one is tried, but at least two seconds. At most a day. Defaults to 5 seconds.
    pub fn connection_timeout(mut self, timeout: TimeDelta) -> Self {
        self.pool.connection.connection_timeout = positive(timeout);
        self
    }

    /// Sets how long one statement may take: at least a millisecond, and at most a day. Defaults to 5 seconds.
    ///
    /// On PostgreSQL, the server ends a statement after that time (`statement_timeout`). The store sets this on each
    /// new connection, unless the role, the environment or the caller's options have set one. It does not set it behind
    /// PgBouncer. The connection also ends if sent data stays unacknowledged for that time (`tcp_user_timeout`).
    ///
    /// On SQLite, it is how long a statement waits for the lock of another one (`busy_timeout`).
    pub fn statement_timeout(mut self, timeout: TimeDelta) -> Self {
        self.pool.connection.statement_timeout = positive(timeout);
        self
    }

    /// Returns the settings of the connections of a pool that the store builds.
    pub(crate) fn connection(&self) -> ConnectionSettings {
        ConnectionSettings { schema: self.options.table.schema.clone(), ..self.pool.connection.clone() }
    }

    /// Returns the options without the settings of a pool, for connections that you hold.
    ///
    /// # Errors
    ///
    /// [`Error::PeriodOutOfRange`] for a period that no database can hold. [`Error::Configuration`] for an option that
    /// does not fit.
    pub fn options(&self) -> Result<Options, Error> {
        self.options.checked(self.default_period)
    }
}

/// Converts a timeout. A negative one becomes zero, which is refused when the pool is built.
fn positive(timeout: TimeDelta) -> Duration {
    timeout.to_std().unwrap_or(Duration::ZERO)
}

impl<C, P> Default for Builder<C, P> {
    fn default() -> Self {
        Self {
            default_period: None,
            options: Options::default(),
            pool: PoolSettings::default(),
            #[cfg(feature = "diesel-async")]
            asynchronous: AsyncSettings::default(),
            marker: PhantomData,
        }
    }
}

impl<C, P> fmt::Debug for Builder<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("default_period", &self.default_period)
            .field("options", &self.options)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}
