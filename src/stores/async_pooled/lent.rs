//! A connection that a pool has lent.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::time::Duration;

use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager as _};
use futures_util::future::select;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::AsyncPool;
use crate::database::Liveness as _;
use crate::postgres::cancel::Cancel;
use crate::retry::Lease;

/// Goes back to the pool when it is dropped; if its transaction manager is in error, the pool loses it.
pub(crate) struct Lent<P: AsyncPool> {
    conn: Option<P::Connection>,
    cancel: Cancel,
    /// The one that it was lent on. mobc gives a connection back by a task, and panics if there is no runtime: the store
    /// may be dropped at the end of `main`, with the connections that reads share.
    runtime: Handle,
}

impl<P: AsyncPool> Lent<P> {
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(super) fn new(conn: P::Connection, cancel: &Cancel) -> Self {
        Self { conn: Some(conn), cancel: cancel.clone(), runtime: Handle::current() }
    }

    /// Abandons the connection now. This is of no use any more after that, and is about to be dropped.
    pub(super) fn abandon_early(&mut self) {
        if let Some(conn) = self.conn.take() {
            Self { conn: Some(conn), cancel: self.cancel.clone(), runtime: self.runtime.clone() }.abandon();
        }
    }

    /// Asks the server to cancel what it does, until it has answered.
    async fn cancel(&mut self) {
        let (cancel, token) = (self.cancel.clone(), self.cancel_token());
        let requests = async {
            loop {
                // If it fails, perhaps the next one does not. The server may have got one too early, and done nothing.
                let _sent = cancel.request(token.clone()).await;
                sleep(AGAIN).await;
            }
        };
        // The server answers the ping after what it was asked before.
        select(pin!(self.ping()), pin!(requests)).await;
    }
}

impl<P: AsyncPool> Lease for Lent<P> {
    /// Something is still under way on it, which nobody waits for any more. The server is asked to cancel that. The pool
    /// counts the connection until the server has answered, or has had its time: a server process that waits, for a
    /// standby that is gone for example, does not notice that its client has left, and the pool would fill the server with
    /// such processes.
    fn abandon(mut self) {
        self.give_up();
        self.runtime.clone().spawn(async move {
            // Whatever comes of it, the connection is closed.
            let _answered = timeout(GRACE, self.cancel()).await;
            drop(self);
        });
    }
}

/// How long a server may take until it has answered what it was asked to cancel. One that stands still answers nothing, and
/// its connections keep new ones from the next server for so long.
const GRACE: Duration = Duration::from_secs(2);

/// Between two requests to cancel.
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
        // Before the connection, so that it is left after it.
        let _runtime = self.runtime.enter();
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
