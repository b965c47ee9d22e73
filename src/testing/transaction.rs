//! A transaction a test.

use std::sync::atomic::{AtomicBool, Ordering};

use diesel::ConnectionError;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Error as R2d2Error, Pool};

use crate::backend::SessionConnection;
use crate::error::Error;
use crate::key::KeyStorage;
use crate::migrations;
use crate::store::{Builder, DieselSession};

impl<C: SessionConnection> Builder<C> {
    /// A store for one test (feature `testing`): a pool of one connection, in a transaction that is never
    /// committed. The migrations are run before it, and stay.
    ///
    /// Give [`DieselSession::pool`] to the code under test as well: sessions and the application's data then
    /// share the transaction, tests run side by side on one database, and none leaves anything behind. A
    /// connection that is lost in it is not replaced, since its work is lost too: every later call fails.
    ///
    /// # Errors
    ///
    /// As [`pool`](Builder::pool); [`Error::PoolTimeout`] where no connection can be made, or the
    /// migrations fail.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use diesel::sqlite::SqliteConnection;
    /// use diesel_session::{DieselSession, Now};
    ///
    /// let sessions = DieselSession::<SqliteConnection>::builder().test_transaction(":memory:")?;
    /// let key = sessions.generate(None, None)?;
    /// sessions.set(&key, "of no consequence".to_owned(), None)?;
    /// # }
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    pub fn test_transaction(self, url: &str) -> Result<DieselSession<C>, Error> {
        let once = Once { taken: AtomicBool::new(false), storage: self.rules()?.key_storage() };
        let builder = Pool::builder()
            .max_size(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_on_check_out(false)
            .connection_timeout(std::time::Duration::from_secs(5))
            .connection_customizer(Box::new(once));
        let waited = std::time::Duration::from_secs(5);
        let pool = builder
            .build(ConnectionManager::new(url))
            .map_err(|source| Error::PoolTimeout { waited, source })?;
        self.pool(pool)
    }
}

/// Opens the transaction on the first connection and refuses every other.
#[derive(Debug)]
struct Once {
    taken: AtomicBool,
    storage: KeyStorage,
}

impl<C: SessionConnection> CustomizeConnection<C, R2d2Error> for Once {
    fn on_acquire(&self, conn: &mut C) -> Result<(), R2d2Error> {
        let refuse = |reason: String| R2d2Error::ConnectionError(ConnectionError::BadConnection(reason));
        if self.taken.load(Ordering::SeqCst) {
            return Err(refuse("the test's connection was lost, and its transaction with it".to_owned()));
        }
        migrations::migrate(conn, self.storage).map_err(|error| refuse(error.to_string()))?;
        conn.begin_test_transaction()?;
        self.taken.store(true, Ordering::SeqCst);
        Ok(())
    }
}
