//! A store out of its settings.

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

/// Makes what sets up each connection of a pool.
pub(crate) type SetUp<C> = Box<dyn Fn() -> Box<dyn CustomizeConnection<C, ConnectionError>> + Send + Sync>;

impl<C: SessionConnection, M: ManageConnection<Connection = C>> Builder<C, M> {
    /// A store with these options over the application's own pool, as [`DieselSession::new`].
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] where a setting of the pool was changed here: the pool has its own.
    /// [`Error::PeriodOutOfRange`], [`Error::Configuration`] for options that do not fit.
    pub fn over(self, pool: Pool<M>) -> Result<DieselSession<C, M>, Error> {
        if self.pool != PoolSettings::default() {
            return Err(PoolSettings::are_the_pools_own());
        }
        Ok(DieselSession::over(pool, self.options()?))
    }
}

impl<C: SessionConnection> Builder<C> {
    /// The store, over a pool of its own.
    ///
    /// On PostgreSQL `url` is a URL or a string of `keyword=value` pairs, as in PostgreSQL's manual
    /// ("Connection Strings").
    ///
    /// On SQLite it is a file, made when it is missing; a `file:` URI; or `:memory:`. Connections write ahead
    /// (`journal_mode = WAL`) with `synchronous = NORMAL`: a crash of the process loses nothing. A loss of power can undo
    /// the last writes, an acknowledged logout among them, and never damages the file (SQLite's manual, "Write-Ahead
    /// Logging"); `Builder::synchronous` avoids that. `sqlite:app.db`, as other libraries write it, is refused.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for settings that do not fit, or a string that is no address;
    /// [`Error::PeriodOutOfRange`] for the default period and the longest lifetime; [`Error::PoolTimeout`] where no
    /// connection could be made within the connection timeout.
    pub fn connect(self, url: &str) -> Result<DieselSession<C>, Error> {
        let (address, set_up) = (C::address(url, &self.connection())?, self.set_up());
        self.build(&address, set_up, true)
    }

    /// What sets up each connection of a pool.
    pub(crate) fn set_up(&self) -> SetUp<C> {
        let settings = self.connection();
        Box::new(move || C::set_up(&settings))
    }

    /// The store over a new pool; `wait` says to wait for its first connection.
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
            // The private database lives as long as its connection.
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
