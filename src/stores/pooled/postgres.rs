//! What a pool of our own on libpq's connections has besides.

use diesel::prelude::*;

use super::DieselSession;
use crate::conninfo::ConnectOptions;
use crate::error::Error;
use crate::options::Builder;

impl<M> Builder<PgConnection, M> {
    /// Whether the connections go through PgBouncer in transaction mode. Defaults to `false`.
    ///
    /// Then no statement is prepared by name, and no setting is sent with the connection: end long
    /// statements with `ALTER ROLE ... SET statement_timeout`.
    pub fn pgbouncer(mut self, through: bool) -> Self {
        self.pool.connection.pgbouncer = through;
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
}

impl Builder<PgConnection> {
    /// The store, over a pool of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for settings that do not fit, [`Error::PeriodOutOfRange`] for the default
    /// period, [`Error::PoolTimeout`] where no connection could be made within the connection timeout
    /// (unless the options say [`startonly`](ConnectOptions::startonly)).
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
        let (address, set_up) = (options.address(&self.connection())?, self.set_up());
        self.build(&address, set_up, !options.is_start_only())
    }
}
