//! A store for one test, in one transaction.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::ConnectionError;
use diesel::r2d2::{CustomizeConnection, Error as R2d2Error};

use super::LOST;
use crate::database::SessionConnection;
use crate::error::Error;
use crate::options::Builder;
use crate::stores::DieselSession;

impl<C: SessionConnection> Builder<C> {
    /// Builds a store for one test (feature `testing`). Its pool has one connection, in a transaction that is never
    /// committed. The migrations run before that transaction, and they stay.
    ///
    /// Give [`DieselSession::pool`] to the code under test as well. Then sessions and the application's data share the
    /// transaction, and the test leaves nothing behind.
    ///
    /// On PostgreSQL such tests run in parallel on one database. With an [owner limit](Builder::owner_limit), tests
    /// that log in one owner wait for each other, so give each test different owners. An SQLite file has one writer at
    /// a time, so give each test `:memory:` or a separate file.
    ///
    /// A lost connection is not replaced, because its work is lost with it. Every later call fails.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Builder::connect) and [`migrate`](DieselSession::migrate). [`Error::Configuration`] for a
    /// pool of more than one connection.
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
    /// sessions.set(&key, "of no consequence", None)?;
    /// # }
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    pub fn test_transaction(mut self, url: &str) -> Result<DieselSession<C>, Error> {
        let address = C::address(url, &self.connection())?;
        let set_up = self.set_up(&address);
        let taken = Arc::new(AtomicBool::new(false));
        let once = move || -> Box<dyn CustomizeConnection<C, R2d2Error>> {
            Box::new(Once { taken: Arc::clone(&taken), set_up: set_up() })
        };
        self.pool.only_one_connection()?;
        let store = self.build(&address, Box::new(once), true)?;
        store.migrate()?;
        store.connection()?.begin_test_transaction()?;
        Ok(store)
    }
}

/// Sets up the first connection, and refuses every other.
struct Once<C> {
    taken: Arc<AtomicBool>,
    set_up: Box<dyn CustomizeConnection<C, R2d2Error>>,
}

impl<C: SessionConnection> CustomizeConnection<C, R2d2Error> for Once<C> {
    fn on_acquire(&self, conn: &mut C) -> Result<(), R2d2Error> {
        if self.taken.load(Ordering::SeqCst) {
            return Err(R2d2Error::ConnectionError(ConnectionError::BadConnection(LOST.to_owned())));
        }
        self.set_up.on_acquire(conn)?;
        self.taken.store(true, Ordering::SeqCst);
        Ok(())
    }
}

impl<C> fmt::Debug for Once<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("taken", &self.taken).finish_non_exhaustive()
    }
}
