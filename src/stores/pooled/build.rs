//! Builds a store from its settings.

use std::sync::Arc;

use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, Error as ConnectionError, ManageConnection, Pool, PoolError,
};

use super::DieselSession;
use super::bounded::Helpers;
use super::pools::{Make, Pools};
use crate::database::SessionConnection;
use crate::error::Error;
use crate::options::ConnectionSettings;
use crate::options::{Builder, PoolSettings};
use crate::retry::{Answers, Verdict};

/// Makes the customizers that set up each connection of a pool.
pub(crate) type SetUp<C> = Box<dyn Fn() -> Box<dyn CustomizeConnection<C, ConnectionError>> + Send + Sync>;

impl<C: SessionConnection, M: ManageConnection<Connection = C>> Builder<C, M> {
    /// Builds a store with these options over the application's pool, as [`DieselSession::new`] does.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if a setting of the pool was changed here, because this pool has its own settings.
    /// [`Error::PeriodOutOfRange`] or [`Error::Configuration`] for options that do not fit.
    pub fn over(self, pool: Pool<M>) -> Result<DieselSession<C, M>, Error> {
        if self.pool != PoolSettings::default() {
            return Err(PoolSettings::are_the_pools_own());
        }
        Ok(DieselSession::over(pool, self.options()?))
    }
}

impl<C: SessionConnection> Builder<C> {
    /// Builds a store with a new pool.
    ///
    /// On PostgreSQL `url` is a URL or a string of `keyword=value` pairs, as in PostgreSQL's manual ("Connection
    /// Strings").
    ///
    /// On MariaDB `url` is a URL: `mysql://user:password@host/database?ssl_ca=/path/of/authority.pem`. The connections
    /// use READ COMMITTED.
    ///
    /// On SQLite `url` is a file, which is created if it is missing, or a `file:` URI, or `:memory:`. The connections
    /// use write-ahead logging (`journal_mode = WAL`) with `synchronous = NORMAL`. A crash of the process loses
    /// nothing. A loss of power can undo the last writes, even an acknowledged logout, but never damages the file
    /// (SQLite's manual, "Write-Ahead Logging"). `Builder::synchronous` avoids that. The form `sqlite:app.db` of other
    /// libraries is refused.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for settings that do not fit, or for a string that is not an address.
    /// [`Error::PeriodOutOfRange`] for the default period and the longest lifetime. [`Error::PoolTimeout`] if no
    /// connection could be made within the connection timeout.
    pub fn connect(self, url: &str) -> Result<DieselSession<C>, Error> {
        let address = C::address(url, &self.connection())?;
        let set_up = self.set_up(&address);
        self.build(&address, set_up, true)
    }

    /// Returns the function that makes a customizer for each connection of a pool.
    pub(crate) fn set_up(&self, address: &str) -> SetUp<C> {
        let (address, settings) = (address.to_owned(), self.connection());
        Box::new(move || C::set_up(&address, &settings))
    }

    /// Builds the store over a new pool. `wait` says whether to wait for its first connection.
    pub(crate) fn build(
        self,
        address: &str,
        set_up: SetUp<C>,
        wait: bool,
    ) -> Result<DieselSession<C>, Error> {
        let options = self.options()?;
        let ConnectionSettings { connection_timeout, statement_timeout, .. } = self.pool.connection;
        let is_private = C::is_private(address);
        let (size, min_idle) = (self.pool.checked_size(is_private)?, self.pool.min_idle);
        let builder = move || {
            let builder = Pool::builder()
                .max_size(size)
                .min_idle(Some(min_idle))
                .connection_timeout(connection_timeout)
                .test_on_check_out(false)
                .connection_customizer(set_up());
            // A private database lives only as long as its connection, so the connection must not expire.
            if is_private { builder.idle_timeout(None).max_lifetime(None) } else { builder }
        };
        let manager = ConnectionManager::new(address);
        let pool = if wait {
            let timeout =
                |source: PoolError| Error::PoolTimeout { waited: connection_timeout, source: source.into() };
            builder().build(manager).map_err(timeout)?
        } else {
            builder().build_unchecked(manager)
        };
        let is_bounded = C::REMOTE && self.pool.bounded_calls;
        let address = address.to_owned();
        let make: Make<_> = Box::new(move || builder().build_unchecked(ConnectionManager::new(&address)));
        Ok(DieselSession {
            pools: Arc::new(Pools::new(pool, is_bounded.then_some(make))),
            options: Arc::new(options),
            call_timeout: connection_timeout + statement_timeout,
            helpers: is_bounded.then(Helpers::default),
            is_theirs: false,
            verdict: Verdict::default(),
            answers: Arc::new(Answers::new()),
        })
    }
}
