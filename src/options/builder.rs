//! Settings for a store.

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

/// Settings for a store, from [`DieselSession::builder`](crate::DieselSession::builder), or with the feature
/// `diesel-async` from `AsyncDieselSession::builder`; each has a default.
///
/// `C` is the connection. `P` is where the store gets connections from: a manager of r2d2's, or a pool of diesel-async's.
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
    /// The period of sessions that are generated or set without an expiry of their own.
    ///
    /// Defaults to one week, as in OCaml's `session-postgresql`.
    pub fn default_period(mut self, period: TimeDelta) -> Self {
        self.default_period = Some(period);
        self
    }

    /// The timeouts that the standards recommend: a session ends after 30 minutes without use and after 12 hours in any
    /// case. It sets [`default_period`](Self::default_period) and [`max_lifetime`](Self::max_lifetime).
    ///
    /// That keeps to NIST SP 800-63B at AAL2, in its revision of 2017 (30 minutes and 12 hours) and in that of 2025 (one
    /// hour and 24 hours). Higher risks need shorter times: `docs/standards.md` has them, with those of OWASP.
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

    /// The form in which the database holds keys. Defaults to [`KeyStorage::Hashed`].
    pub fn key_storage(mut self, storage: KeyStorage) -> Self {
        self.options.table.key_storage = storage;
        self
    }

    /// The largest value, in bytes. Defaults to 1 MiB.
    pub fn value_limit(mut self, bytes: usize) -> Self {
        self.options.value_limit = ValueLimit(bytes);
        self
    }

    /// How long a session may live from when it was generated, however often it is used: the absolute timeout of
    /// OWASP's session management cheat sheet. Defaults to no limit.
    ///
    /// No operation carries a session's expiry past it, so `get` reports what is left of the shorter one of both.
    /// At least 10 milliseconds; a session that was adopted counts from the adoption.
    ///
    /// A session that was written under a higher limit, or none, keeps its expiry until it is next set, put, updated,
    /// replaced or rotated, also with [`Expiry::Keep`](crate::Expiry::Keep). Such a write ends a session that is older than
    /// the limit. No other write does. The following statement applies a limit of twelve hours to all sessions at once, on
    /// PostgreSQL: `UPDATE session SET expire_date = created_on + interval '12 hours'
    /// WHERE expire_date > created_on + interval '12 hours'`; on SQLite `created_on + 43200000`, in milliseconds.
    pub fn max_lifetime(mut self, lifetime: TimeDelta) -> Self {
        self.options.max_lifetime = Some(lifetime);
        self
    }

    /// When a [`touch`](crate::Sessions::touch) is worth a write: if the expiry moves by this interval, or by a tenth of the
    /// period if that is less. It is also worth a write if the last use is older than this interval. Defaults to one
    /// minute. Less than 10 milliseconds means 10 milliseconds.
    pub fn touch_interval(mut self, interval: TimeDelta) -> Self {
        self.options.touch_interval = interval;
        self
    }

    /// How many live sessions one owner may have, and what happens at the next, checked by
    /// [`generate_for`](crate::Sessions::generate_for) and [`bind`](crate::Sessions::bind) (ASVS 7.1.2). Defaults to
    /// no limit.
    ///
    /// Both then lock the owner in a transaction, as [`clear_owner`](crate::Sessions::clear_owner) does. In a transaction of
    /// yours the lock lasts until its end. So the limit holds for any number of logins at once, if all programs set the
    /// same one and use one server (with Citus, one coordinator). In a transaction of yours under an isolation stricter
    /// than READ COMMITTED they may miss sessions that others made since it began.
    pub fn owner_limit(mut self, limit: OwnerLimit) -> Self {
        self.options.owner_limit = Some(limit);
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
    /// whole seconds, at least two). Of several hosts each has its share of it, two seconds at least, before the next is
    /// tried. Defaults to 5 seconds.
    pub fn connection_timeout(mut self, timeout: TimeDelta) -> Self {
        self.pool.connection.connection_timeout = positive(timeout);
        self
    }

    /// How long one statement may take. Defaults to 5 seconds.
    ///
    /// On PostgreSQL the server ends a statement after that time (`statement_timeout`, set on each new
    /// connection unless the role, the environment or the caller's options have one; not behind PgBouncer),
    /// and unacknowledged data ends the connection (`tcp_user_timeout`). On SQLite it is how long a statement
    /// waits for another's lock (`busy_timeout`).
    pub fn statement_timeout(mut self, timeout: TimeDelta) -> Self {
        self.pool.connection.statement_timeout = positive(timeout);
        self
    }

    /// How a pool that is made here connects.
    pub(crate) fn connection(&self) -> ConnectionSettings {
        ConnectionSettings { schema: self.options.table.schema.clone(), ..self.pool.connection.clone() }
    }

    /// These options alone, for connections that you hold.
    ///
    /// # Errors
    ///
    /// [`Error::PeriodOutOfRange`] for a period that no database can hold, [`Error::Configuration`] for a rule that
    /// does not fit.
    pub fn options(&self) -> Result<Options, Error> {
        self.options.checked(self.default_period)
    }
}

/// A negative time is no time, which is refused when the pool is made.
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
