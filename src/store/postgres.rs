//! A pool of our own on PostgreSQL.

use diesel::prelude::*;
use diesel::r2d2::ConnectionManager;

use super::bounded::Helpers;
use super::{Builder, DieselSession};
use crate::connect::postgres::{ConnectOptions, SetUp};
use crate::error::Error;

/// Connections of a pool that has no size of its own.
const POOL_SIZE: u32 = 8;

impl DieselSession<PgConnection> {
    /// A store over a pool of its own, with every setting at its default.
    ///
    /// `url` is a PostgreSQL URL or a string of `keyword=value` pairs, as in the original and in
    /// PostgreSQL's manual ("Connection Strings").
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a string that is neither, [`Error::PoolTimeout`] where no connection
    /// could be made in 5 seconds.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use diesel::pg::PgConnection;
    /// use diesel_session::DieselSession;
    ///
    /// let sessions = DieselSession::<PgConnection>::connect("postgres://app@db.example/shop")?;
    /// sessions.migrate()?;
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    pub fn connect(url: &str) -> Result<Self, Error> {
        Self::builder().connect(url)
    }
}

impl Builder<PgConnection> {
    /// Whether the connections go through PgBouncer in transaction mode. Defaults to `false`.
    ///
    /// Then no statement is prepared by name, and no setting is sent with the connection: end long
    /// statements with `ALTER ROLE ... SET statement_timeout`.
    pub fn pgbouncer(mut self, through: bool) -> Self {
        self.pool.pgbouncer = through;
        self
    }

    /// Whether every call ends, with [`Error::ServerTimeout`], when the connection timeout and the
    /// statement timeout together have passed, whatever the server does. Defaults to `true`.
    ///
    /// libpq itself waits without end for a server process that is stopped, or stuck in its kernel. So a
    /// second thread does the waiting, which costs two thread switches a call: in one measurement over a
    /// Unix socket about an eighth of the throughput of one thread, and a third of eight threads on two
    /// cores. Without it `statement_timeout` and `tcp_user_timeout` still end slow statements and calls to
    /// machines that are gone.
    pub fn bounded_calls(mut self, bounded: bool) -> Self {
        self.pool.bounded_calls = bounded;
        self
    }

    /// The store, over a pool of its own, from a URL or a string of `keyword=value` pairs.
    ///
    /// # Errors
    ///
    /// As [`connect_with`](Self::connect_with), and [`Error::Configuration`] for a string that is neither.
    pub fn connect(self, url: &str) -> Result<DieselSession<PgConnection>, Error> {
        self.connect_with(&url.parse()?)
    }

    /// The store, over a pool of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for settings that do not fit, [`Error::PeriodOutOfRange`] for the default
    /// period, [`Error::PoolTimeout`] where no connection could be made within the connection timeout
    /// (unless the options say [`startonly`](ConnectOptions::startonly)).
    pub fn connect_with(self, options: &ConnectOptions) -> Result<DieselSession<PgConnection>, Error> {
        let rules = self.rules()?;
        let settings = self.pool;
        let builder = settings
            .r2d2(settings.size.unwrap_or(POOL_SIZE))?
            .connection_customizer(Box::new(SetUp { pgbouncer: settings.pgbouncer }));
        let statement_timeout = (!settings.pgbouncer).then_some(settings.statement_timeout);
        let options_in_time = options.with_timeouts(settings.connection_timeout, statement_timeout);
        let manager = ConnectionManager::new(options_in_time.to_conninfo()?);
        let pool = if options.is_start_only() {
            builder.build_unchecked(manager)
        } else {
            builder
                .build(manager)
                .map_err(|source| Error::PoolTimeout { waited: settings.connection_timeout, source })?
        };
        let mut store = DieselSession::over(pool, rules);
        store.call_timeout = settings.connection_timeout + settings.statement_timeout;
        store.helpers = settings.bounded_calls.then(Helpers::default);
        Ok(store)
    }
}
