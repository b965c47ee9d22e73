//! A store out of its settings.

use std::sync::Arc;

use diesel::r2d2::{ConnectionManager, CustomizeConnection, Error as ConnectionError, Pool, PoolError};

use super::DieselSession;
use super::bounded::Helpers;
use crate::database::SessionConnection;
use crate::error::Error;
use crate::options::ConnectionSettings;
use crate::options::{Builder, PoolSettings};
use crate::retry::Verdict;

impl<C: SessionConnection> Builder<C> {
    /// A store with these options over the application's own pool, as [`DieselSession::new`].
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] where a setting of the pool was changed here: the pool has its own.
    /// [`Error::PeriodOutOfRange`], [`Error::Configuration`] for options that do not fit.
    pub fn over(self, pool: Pool<ConnectionManager<C>>) -> Result<DieselSession<C>, Error> {
        if self.pool != PoolSettings::default() {
            return Err(PoolSettings::are_the_pools_own());
        }
        Ok(DieselSession::over(pool, self.options()?))
    }

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
        let settings = self.connection();
        self.build(&C::address(url, &settings)?, C::set_up(&settings), true)
    }

    /// The store over a new pool; `wait` says to wait for its first connection.
    pub(crate) fn build(
        self,
        address: &str,
        set_up: Box<dyn CustomizeConnection<C, ConnectionError>>,
        wait: bool,
    ) -> Result<DieselSession<C>, Error> {
        let options = self.options()?;
        let ConnectionSettings { connection_timeout, statement_timeout, .. } = self.pool.connection.clone();
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
            let timeout =
                |source: PoolError| Error::PoolTimeout { waited: connection_timeout, source: source.into() };
            builder.build(manager).map_err(timeout)?
        } else {
            builder.build_unchecked(manager)
        };
        Ok(DieselSession {
            pool,
            options: Arc::new(options),
            call_timeout: connection_timeout + statement_timeout,
            helpers: (C::REMOTE && self.pool.bounded_calls).then(Helpers::default),
            is_theirs: false,
            verdict: Verdict::default(),
        })
    }
}
