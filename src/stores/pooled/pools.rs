//! The pool of a store, and the pool that replaces it if the server stops answering.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use diesel::r2d2::{ManageConnection, Pool, PooledConnection};

use crate::database::Liveness;
use crate::retry::Lease;

/// Makes another pool for the store.
pub(super) type Make<M> = Box<dyn Fn() -> Pool<M> + Send + Sync>;

/// The current pool of a store, and the one before it.
///
/// libpq and libmariadb wait for an answer without a time limit. Diesel can neither close a connection in use nor cancel
/// its work. So the connections to a silent server stay in use, and so do their places in the pool. Then another pool
/// replaces it. No third pool begins until the first one has all its connections back. So both together hold at most
/// twice as many connections as one pool, and at most as many threads wait for them.
pub(super) struct Pools<M: ManageConnection> {
    now: RwLock<Arc<Pool<M>>>,
    /// The pool before the current one. Its connections in use keep it alive.
    before: Mutex<Weak<Pool<M>>>,
    make: Option<Make<M>>,
}

impl<M: ManageConnection> Pools<M> {
    /// Takes a pool, and a function that makes others like it.
    pub(super) fn new(pool: Pool<M>, make: Option<Make<M>>) -> Self {
        Self { now: RwLock::new(Arc::new(pool)), before: Mutex::default(), make }
    }

    pub(super) fn now(&self) -> Arc<Pool<M>> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the pool, because its server does not answer.
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
    /// Declared last, so it is dropped last.
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
