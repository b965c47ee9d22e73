//! One test, one transaction, on a connection that does not block.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::ConnectionError::BadConnection;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use futures_util::FutureExt as _;

use super::LOST;
use crate::error::Error;
use crate::options::Builder;
use crate::options::Establish;
use crate::postgres::establish::establish_in_clear;
use crate::stores::AsyncDieselSession;

impl Builder<AsyncPgConnection, Pool<AsyncPgConnection>> {
    /// A store for one test (features `diesel-async` and `testing`): a pool of one connection, in a transaction that
    /// is never committed. The migrations are run before it, and stay.
    ///
    /// Give [`AsyncDieselSession::pool`] to the code under test as well: sessions and the application's data then
    /// share the transaction, and the test leaves nothing behind. A connection that is lost is not replaced, since its
    /// work is lost with it: every later call fails.
    ///
    /// # Errors
    ///
    /// As [`connect`](Builder::connect) and [`migrate`](AsyncDieselSession::migrate); [`Error::Configuration`] for
    /// a pool of more than one connection.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use diesel_session::{AsyncDieselSession, AsyncNow};
    ///
    /// # async fn test() -> Result<(), diesel_session::Error> {
    /// let url = "postgres://app@db.example/shop_test";
    /// let sessions = AsyncDieselSession::builder().test_transaction(url).await?;
    /// let key = sessions.generate(None, None).await?;
    /// sessions.set(&key, "of no consequence", None).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn test_transaction(mut self, url: &str) -> Result<AsyncDieselSession, Error> {
        let establish = self.establish.take().unwrap_or_else(establish_in_clear);
        self.pool.only_one_connection()?;
        self.establish = Some(once(establish));
        let store = self.connect(url).await?;
        store.migrate().await?;
        store.connection().await?.begin_test_transaction().await?;
        Ok(store)
    }
}

/// Establishes one connection and refuses every other.
fn once(establish: Establish) -> Establish {
    let taken = Arc::new(AtomicBool::new(false));
    Arc::new(move |address| {
        let (taken, connection) = (Arc::clone(&taken), establish(address));
        async move {
            if taken.load(Ordering::SeqCst) {
                return Err(BadConnection(LOST.to_owned()));
            }
            let conn = connection.await?;
            taken.store(true, Ordering::SeqCst);
            Ok(conn)
        }
        .boxed()
    })
}
