//! A connection that a pool has lent.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager as _};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::AsyncPool;
use crate::database::Liveness as _;
use crate::postgres::cancel::Cancel;
use crate::retry::Lease;

/// Goes back to the pool when it is dropped; if its transaction manager is in error, the pool loses it.
pub(crate) struct Lent<P: AsyncPool> {
    conn: Option<P::Connection>,
    cancel: Cancel,
}

impl<P: AsyncPool> Lent<P> {
    pub(super) fn new(conn: P::Connection, cancel: &Cancel) -> Self {
        Self { conn: Some(conn), cancel: cancel.clone() }
    }
}

impl<P: AsyncPool> Lease for Lent<P> {
    /// Something is still under way on it, which nobody waits for any more. The server is asked to cancel that. The pool
    /// counts the connection until the server has answered, or has had its time: a server process that waits, for a
    /// standby that is gone for example, does not notice that its client has left, and the pool would fill the server with
    /// such processes.
    fn abandon(mut self) {
        self.give_up();
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let cancelled = self.cancel.request(self.cancel_token());
            // The server answers the ping after what it was asked before. Whatever comes of both, the connection is closed.
            let _answered = timeout(GRACE, async { (cancelled.await, self.ping().await) }).await;
            drop(self);
        });
    }
}

/// How long a server may take until it has answered what it was asked to cancel. One that stands still answers nothing, and
/// its connections keep new ones from the next server for so long.
const GRACE: Duration = Duration::from_secs(2);

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
