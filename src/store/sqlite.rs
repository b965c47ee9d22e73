//! A pool of our own on SQLite.

use diesel::prelude::*;
use diesel::r2d2::ConnectionManager;

use super::{Builder, DieselSession};
use crate::connect::sqlite::{SetUp, is_in_memory};
use crate::error::Error;

/// Connections of a pool that has no size of its own.
const POOL_SIZE: u32 = 8;

impl DieselSession<SqliteConnection> {
    /// A store over a pool of its own, with every setting at its default.
    ///
    /// `path` is a file, made when it is missing; a `file:` URI; or `:memory:`.
    ///
    /// # Errors
    ///
    /// [`Error::PoolTimeout`] where the file cannot be opened.
    ///
    /// # Examples
    ///
    /// ```
    /// use diesel::sqlite::SqliteConnection;
    /// use diesel_session::DieselSession;
    ///
    /// let sessions = DieselSession::<SqliteConnection>::connect(":memory:")?;
    /// sessions.migrate()?;
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    pub fn connect(path: &str) -> Result<Self, Error> {
        Self::builder().connect(path)
    }
}

impl Builder<SqliteConnection> {
    /// The store, over a pool of its own.
    ///
    /// Each connection waits for locks as long as the statement timeout says, and writes ahead
    /// (`journal_mode = WAL`) with `synchronous = NORMAL`: a crash of the process loses nothing, a loss of
    /// power may lose the last writes and never damages the file (SQLite's manual, "Write-Ahead Logging").
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for settings that do not fit, [`Error::PeriodOutOfRange`] for the default
    /// period, [`Error::PoolTimeout`] where the file cannot be opened within the connection timeout.
    pub fn connect(self, path: &str) -> Result<DieselSession<SqliteConnection>, Error> {
        let rules = self.rules()?;
        let settings = self.pool;
        let in_memory = is_in_memory(path);
        if in_memory && settings.size.is_some_and(|size| size != 1) {
            return Err(Error::Configuration {
                setting: "pool_size",
                reason: "a database in memory is private to its one connection".to_owned(),
            });
        }
        let mut builder = settings
            .r2d2(settings.size.unwrap_or(if in_memory { 1 } else { POOL_SIZE }))?
            .connection_customizer(Box::new(SetUp { busy_timeout: settings.statement_timeout }));
        if in_memory {
            // The database lives as long as its connection.
            builder = builder.idle_timeout(None).max_lifetime(None);
        }
        let pool = builder
            .build(ConnectionManager::new(path))
            .map_err(|source| Error::PoolTimeout { waited: settings.connection_timeout, source })?;
        let mut store = DieselSession::over(pool, rules);
        store.call_timeout = settings.connection_timeout + settings.statement_timeout;
        Ok(store)
    }
}
