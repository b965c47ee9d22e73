//! Migrates the session table. Diesel's migrations block, so they run on a thread that may block.

use std::sync::Arc;

use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;

use super::lent::Lent;
use super::{AsyncDieselSession, AsyncPool};
use crate::database::on_a_thread;
use crate::error::Error;
use crate::options::Options;

impl<P: AsyncPool> AsyncDieselSession<P> {
    /// Brings the session table to this version's form, and returns how many migrations that took.
    ///
    /// See [`SessionTable::migrate`](crate::SessionTable::migrate), which this runs for the store's table on one of
    /// tokio's blocking threads. The locks that it waits for and the size of an adopted table determine how long it
    /// takes. The store's timeouts apply only until it has a connection that answers. Once it has begun, it runs to its
    /// end, even if you drop the future.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`] if the migrations fail. [`Error::PoolTimeout`], [`Error::ServerTimeout`] or
    /// [`Error::ConnectionLost`] if no connection answers in time. Nothing was changed then.
    pub async fn migrate(&self) -> Result<usize, Error> {
        self.with_migrations(|conn, options| options.migrate_on(conn)).await
    }

    /// Checks that the session table is up to date and that the pool's connections use it. It changes nothing. See
    /// [`SessionTable::check`](crate::SessionTable::check) and [`Options::check`].
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], which names what is missing. [`Error::PoolTimeout`], [`Error::ServerTimeout`] or
    /// [`Error::ConnectionLost`] if no connection answers in time.
    pub async fn check(&self) -> Result<(), Error> {
        self.with_migrations(|conn, options| options.check_on(conn)).await
    }

    /// Runs work that blocks and waits for locks, on one of tokio's blocking threads.
    async fn with_migrations<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut AsyncConnectionWrapper<Lent<P>>, &Options) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let options = Arc::clone(&self.options);
        let mut conn = AsyncConnectionWrapper::from(self.connection().await?);
        on_a_thread(move || work(&mut conn, &options)).await
    }
}
