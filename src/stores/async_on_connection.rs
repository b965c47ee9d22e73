//! The store on an asynchronous connection that the caller holds.

use std::fmt;

use diesel_async::AsyncPgConnection;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::error::Error;
use crate::operations::{ExecuteAsync, Operation, Update, async_contracts};
use crate::options::Options;
use crate::retry::{run_on, update_on};

/// The operations of a store on a diesel-async connection that the caller holds. It comes from
/// [`AsyncDieselSession::on`], or without a pool from [`Options::on_async`].
///
/// The operations run inside the caller's open transaction, if there is one, and they commit or roll back with it. The
/// store never retries them. [`Error::NotFound`] and similar errors are not errors of the database, so the transaction
/// stays usable after them. Only the connection's own time limits apply.
///
/// If a future is dropped inside a transaction or savepoint that it began, it makes the connection unusable. Your own
/// transaction around it can then not be committed, and Diesel returns an error.
///
/// # Examples
///
/// ```no_run
/// use diesel_async::AsyncConnection as _;
/// use diesel_session::{AsyncDieselSession, AsyncNow as _, AsyncPool as _, Error, SessionKey};
///
/// async fn order(sessions: &AsyncDieselSession, key: &SessionKey) -> Result<(), Box<dyn std::error::Error>> {
///     let mut conn = sessions.pool().connection().await?;
///     conn.transaction(async |conn| {
///         let (cart, _left) = sessions.on(conn).get(key).await?;
///         // diesel::insert_into(orders::table).values(orders::cart.eq(cart)).execute(conn).await?;
///         sessions.on(conn).set(key, "cart=", None).await
///     })
///     .await?;
///     Ok(())
/// }
/// ```
///
/// [`AsyncDieselSession::on`]: crate::AsyncDieselSession::on
pub struct AsyncOnConnection<'a> {
    conn: Mutex<&'a mut AsyncPgConnection>,
    options: &'a Options,
}

impl Options {
    /// Returns the operations under these options, on a diesel-async connection that the caller holds.
    pub fn on_async<'a>(&'a self, conn: &'a mut AsyncPgConnection) -> AsyncOnConnection<'a> {
        AsyncOnConnection { conn: Mutex::new(conn), options: self }
    }
}

async_contracts!(AsyncOnConnection<'_>);

impl AsyncOnConnection<'_> {
    async fn conn(&self) -> Result<MappedMutexGuard<'_, AsyncPgConnection>, Error> {
        Ok(MutexGuard::map(self.conn.lock().await, |conn| &mut **conn))
    }
}

impl ExecuteAsync for AsyncOnConnection<'_> {
    type Connection = AsyncPgConnection;
    type Reader = AsyncPgConnection;

    fn options(&self) -> &Options {
        self.options
    }

    async fn run<O>(&self, operation: Result<O, Error>) -> Result<O::Output, Error>
    where
        O: Operation<AsyncPgConnection> + 'static,
    {
        run_on(|| self.conn(), operation).await
    }

    async fn run_update<E, F>(&self, update: Result<Update, Error>, change: F) -> Result<String, E>
    where
        E: From<Error> + Send + 'static,
        F: FnMut(Option<String>) -> Result<String, E> + Send + 'static,
    {
        update_on(|| self.conn(), self.options, update, change).await
    }
}

impl fmt::Debug for AsyncOnConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncOnConnection").field("options", self.options).finish_non_exhaustive()
    }
}
