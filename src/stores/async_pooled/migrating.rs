//! The session table's migrations: Diesel's, which block.

use std::panic::resume_unwind;
use std::sync::Arc;

use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use tokio::task::spawn_blocking;

use super::lent::Lent;
use super::{AsyncDieselSession, AsyncPool};
use crate::error::Error;
use crate::options::Options;

impl<P: AsyncPool> AsyncDieselSession<P> {
    /// Brings the session table to this version's form, and returns how many migrations that took.
    ///
    /// See [`SessionTable::migrate`](crate::SessionTable::migrate), which this does for the store's table on one of tokio's
    /// blocking threads.
    /// It is bound by the locks that it waits for and by the size of an adopted table, not by the store's timeouts;
    /// once begun it goes on to its end, whoever waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], and then nothing was changed; [`Error::PoolTimeout`].
    pub async fn migrate(&self) -> Result<usize, Error> {
        self.with_migrations(|conn, options| options.migrate_on(conn)).await
    }

    /// Checks, without changing anything, that the session table is up to date and that the pool's connections use it:
    /// see [`SessionTable::check`](crate::SessionTable::check) and [`Options::check`].
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], which names what is missing; [`Error::PoolTimeout`].
    pub async fn check(&self) -> Result<(), Error> {
        self.with_migrations(|conn, options| options.check_on(conn)).await
    }

    /// Does what blocks and waits for locks, on one of tokio's threads that may.
    async fn with_migrations<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut AsyncConnectionWrapper<Lent<P>>, &Options) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let options = Arc::clone(&self.options);
        let mut conn = AsyncConnectionWrapper::from(self.connection().await?);
        match spawn_blocking(move || work(&mut conn, &options)).await {
            Ok(done) => done,
            Err(panicked) => resume_unwind(panicked.into_panic()),
        }
    }
}
