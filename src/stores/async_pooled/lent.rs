//! A connection that a pool has lent.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::time::Duration;

use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager as _};
use futures_util::future::{join, select};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::AsyncPool;
use crate::database::Liveness as _;
use crate::postgres::cancel::Cancel;
use crate::retry::Lease;

/// A connection that goes back to the pool when it is dropped. If its transaction manager is in error or has an open
/// transaction, the pool discards it.
pub(crate) struct Lent<P: AsyncPool> {
    conn: Option<P::Connection>,
    cancel: Cancel,
    /// The runtime that was current when the pool lent the connection.
    runtime: Handle,
}

impl<P: AsyncPool> Lent<P> {
    /// Wraps a connection that the pool has just lent.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub(super) fn new(conn: P::Connection, cancel: &Cancel) -> Self {
        Self { conn: Some(conn), cancel: cancel.clone(), runtime: Handle::current() }
    }

    /// Abandons the connection of a `Lent` that is about to be dropped.
    pub(super) fn abandon_early(&mut self) {
        if let Some(conn) = self.conn.take() {
            Self { conn: Some(conn), cancel: self.cancel.clone(), runtime: self.runtime.clone() }.abandon();
        }
    }

    /// Asks the server again and again to cancel this connection's statement, until the server answers.
    async fn cancel(&mut self) {
        let (cancel, token) = (self.cancel.clone(), self.cancel_token());
        let requests = async {
            loop {
                // A request can get lost, or arrive before its statement.
                let _sent = join(timeout(AGAIN, cancel.request(token.clone())), sleep(AGAIN)).await;
            }
        };
        // The server answers the ping only after the statement.
        select(pin!(self.ping()), pin!(requests)).await;
    }
}

impl<P: AsyncPool> Lease for Lent<P> {
    /// Cancels the statement that is still running, and then closes the connection. The pool counts the connection
    /// until the server has answered, or until `GRACE` is over.
    ///
    /// A server process may wait for something else, for example for a lost standby. Then it does not notice that its
    /// client has left. Without the cancellation, such processes would use up the server's connections.
    fn abandon(mut self) {
        self.give_up();
        // The runtime on which a shared connection was lent may have ended.
        let runtime = Handle::try_current().unwrap_or_else(|_| self.runtime.clone());
        runtime.spawn(async move {
            let _answered = timeout(GRACE, self.cancel()).await;
            drop(self);
        });
    }
}

/// How long the server may take to answer. A server that hangs never answers. During this time its connections take the
/// places of new connections to the next server.
const GRACE: Duration = Duration::from_secs(2);

/// The time between two requests to cancel.
const AGAIN: Duration = Duration::from_millis(500);

const LENT: &str = "the connection is here until this is dropped";

impl<P: AsyncPool> Deref for Lent<P> {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        self.conn.as_ref().expect(LENT)
    }
}

impl<P: AsyncPool> DerefMut for Lent<P> {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.conn.as_mut().expect(LENT)
    }
}

impl<P: AsyncPool> Drop for Lent<P> {
    fn drop(&mut self) {
        // mobc takes a connection back in a task, and panics if there is no runtime. That can happen at the end of
        // `main`, when a store is dropped with the connections that reads share. The guard is declared first, so it is
        // dropped last.
        let has_none = Handle::try_current().is_err_and(|missing| missing.is_missing_context());
        let _runtime = has_none.then(|| self.runtime.enter());
        let Some(mut conn) = self.conn.take() else { return };
        if AnsiTransactionManager::is_broken_transaction_manager(&mut *conn) {
            P::discard(conn);
        }
    }
}

impl<P: AsyncPool> fmt::Debug for Lent<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}
