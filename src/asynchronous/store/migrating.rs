//! The session table's migrations: Diesel's, which block.

use std::panic::resume_unwind;

use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use tokio::task::spawn_blocking;

use super::{AsyncDieselSession, AsyncPool};
use crate::error::Error;
use crate::key::KeyStorage;
use crate::migrations;

impl<P: AsyncPool> AsyncDieselSession<P> {
    /// Brings the session table to this version's form, and returns how many migrations that took.
    ///
    /// See [`migrations::migrate`], which this does with the store's key storage, on one of tokio's blocking threads.
    /// It is bound by the locks that it waits for and by the size of an adopted table, not by the store's timeouts;
    /// once begun it goes on to its end, whoever waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], and then nothing was changed; [`Error::PoolTimeout`].
    pub async fn migrate(&self) -> Result<usize, Error> {
        let schema = self.schema.clone();
        self.with_migrations(move |conn, storage| migrations::migrate_in(schema.as_ref(), conn, storage))
            .await
    }

    /// Checks, without changing anything, that the session table is up to date: [`migrations::check`] with
    /// the store's key storage.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], which names what is missing; [`Error::PoolTimeout`].
    pub async fn check(&self) -> Result<(), Error> {
        self.with_migrations(migrations::check_in).await
    }

    /// Does what blocks and waits for locks, on one of tokio's threads that may.
    async fn with_migrations<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut AsyncConnectionWrapper<P::Connection>, KeyStorage) -> Result<T, Error>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        let storage = self.rules.key_storage();
        let mut conn = AsyncConnectionWrapper::from(self.connection().await?);
        match spawn_blocking(move || work(&mut conn, storage)).await {
            Ok(done) => done,
            Err(panicked) => resume_unwind(panicked.into_panic()),
        }
    }
}
