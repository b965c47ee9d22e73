//! The pool of a store, and the next one if its server falls silent.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use diesel::r2d2::{ManageConnection, Pool, PooledConnection};

use crate::database::Liveness;
use crate::retry::Lease;

/// Makes a pool of the store's own.
pub(super) type Make<M> = Box<dyn Fn() -> Pool<M> + Send + Sync>;

/// libpq waits for an answer without end, and Diesel can neither close a connection under way nor cancel what it does. So
/// the connections to a server that fell silent stay in use, and with them the places in their pool. Another pool then
/// takes its place. There is no third one until the first has all its connections back: both together hold twice as many
/// connections as one, and as many threads wait for them at most.
pub(super) struct Pools<M: ManageConnection> {
    now: RwLock<Arc<Pool<M>>>,
    /// Those that are not idle keep it alive.
    before: Mutex<Weak<Pool<M>>>,
    make: Option<Make<M>>,
}

impl<M: ManageConnection> Pools<M> {
    /// A pool, and a way to make others like it.
    pub(super) fn new(pool: Pool<M>, make: Option<Make<M>>) -> Self {
        Self { now: RwLock::new(Arc::new(pool)), before: Mutex::default(), make }
    }

    pub(super) fn now(&self) -> Arc<Pool<M>> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The server is silent.
    pub(super) fn replace(&self) {
        let Some(make) = &self.make else { return };
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if before.strong_count() == 0 {
            let next = Arc::new(make());
            let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
            let old = std::mem::replace(&mut *now, next);
            *before = Arc::downgrade(&old);
        }
    }
}

/// A connection and the pool that it goes back to.
pub(crate) struct Lent<M: ManageConnection> {
    conn: PooledConnection<M>,
    /// Declared last, and so dropped last.
    _pool: Arc<Pool<M>>,
}

impl<M: ManageConnection> Lent<M> {
    pub(super) fn new(conn: PooledConnection<M>, pool: Arc<Pool<M>>) -> Self {
        Self { conn, _pool: pool }
    }
}

impl<M: ManageConnection<Connection: Liveness>> Lease for Lent<M> {}

impl<M: ManageConnection> Deref for Lent<M> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        &self.conn
    }
}

impl<M: ManageConnection> DerefMut for Lent<M> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        &mut self.conn
    }
}
