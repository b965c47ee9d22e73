//! An asynchronous store for one test, in one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::ConnectionError::BadConnection;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use futures_util::FutureExt as _;

use super::LOST;
use crate::conninfo::ConnectOptions;
use crate::error::Error;
use crate::options::Builder;
use crate::postgres::connector::Connector;
use crate::stores::AsyncDieselSession;

impl Builder<AsyncPgConnection, Pool<AsyncPgConnection>> {
    /// Builds a store for one test (features `diesel-async` and `testing`). Its pool has one connection, in a
    /// transaction that is never committed. The migrations run before that transaction, and they stay.
    ///
    /// Give [`AsyncDieselSession::pool`] to the code under test as well. Then sessions and the application's data share
    /// the transaction, and the test leaves nothing behind. A lost connection is not replaced, because its work is lost
    /// with it. Every later call fails.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Builder::connect) and [`migrate`](AsyncDieselSession::migrate). [`Error::Configuration`] for
    /// a pool of more than one connection.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use diesel_session::{AsyncDieselSession, AsyncNow};
    ///
    /// # async fn test() -> Result<(), diesel_session::Error> {
    /// let url = "postgres://app@localhost/shop_test";
    /// let sessions = AsyncDieselSession::builder().test_transaction(url).await?;
    /// let key = sessions.generate(None, None).await?;
    /// sessions.set(&key, "of no consequence", None).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn test_transaction(mut self, url: &str) -> Result<AsyncDieselSession, Error> {
        self.pool.only_one_connection()?;
        let options: ConnectOptions = url.parse()?;
        let connectors =
            Connector::for_each_host(&options, &self.connection(), self.asynchronous.establish.take())?;
        let store = self.connect_by(once(connectors), options.is_start_only()).await?;
        store.migrate().await?;
        store.connection().await?.begin_test_transaction().await?;
        Ok(store)
    }
}

/// Opens one connection, to any of the hosts, and refuses every other.
fn once(connectors: Vec<Connector>) -> Vec<Connector> {
    let taken = Arc::new(AtomicBool::new(false));
    let only = |connector: Connector| {
        let taken = Arc::clone(&taken);
        let establish = move |_address| {
            let (taken, connector) = (Arc::clone(&taken), connector.clone());
            async move {
                if taken.load(Ordering::SeqCst) {
                    return Err(BadConnection(LOST.to_owned()));
                }
                let conn = connector.establish().await?;
                taken.store(true, Ordering::SeqCst);
                Ok(conn)
            }
            .boxed()
        };
        // The address is in the connector.
        Connector::by(Arc::new(establish), String::new())
    };
    connectors.into_iter().map(only).collect()
}
