//! The settings and the constructor for pools of libpq connections.

use diesel::prelude::*;

use super::DieselSession;
use crate::conninfo::ConnectOptions;
use crate::error::Error;
use crate::options::Builder;

impl<M> Builder<PgConnection, M> {
    /// Sets whether the connections go through PgBouncer in transaction mode. Defaults to `false`.
    ///
    /// If they do, the store prepares no statement by name, and sends no setting with the connection. To end long
    /// statements, use `ALTER ROLE ... SET statement_timeout`.
    pub fn pgbouncer(mut self, through: bool) -> Self {
        self.pool.connection.pgbouncer = through;
        self
    }
}

impl Builder<PgConnection> {
    /// Builds a store with a new pool. It does not wait for a connection if the options say
    /// [`startonly`](ConnectOptions::startonly).
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for settings that do not fit. [`Error::PeriodOutOfRange`] for the default period and
    /// the longest lifetime. [`Error::PoolTimeout`] if the store waits and no connection could be made within the
    /// connection timeout.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use diesel::pg::PgConnection;
    /// use diesel_session::{ConnectOptions, DieselSession};
    ///
    /// let options = ConnectOptions::new().host("db.example").dbname("shop").user("app").requiressl(true);
    /// let sessions = DieselSession::<PgConnection>::builder().pool_size(16).connect_with(&options)?;
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    pub fn connect_with(self, options: &ConnectOptions) -> Result<DieselSession<PgConnection>, Error> {
        let address = options.address(&self.connection())?;
        let set_up = self.set_up(&address);
        self.build(&address, set_up, !options.is_start_only())
    }
}
