//! The store on one connection that its caller holds, as a store: so that the laws of `Now` and `Sessions` can be held
//! against it.

use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use diesel::r2d2::{ConnectionManager, PooledConnection};
use diesel_session::{
    DieselSession, Error, Now, OnConnection, OwnedSession, SessionConnection, SessionCount, SessionHandle,
    SessionKey, Sessions,
};

/// A store on one connection that the caller holds.
pub(crate) struct OnOneConnection<C: SessionConnection> {
    store: DieselSession<C>,
    conn: Mutex<PooledConnection<ConnectionManager<C>>>,
}

impl<C: SessionConnection> OnOneConnection<C> {
    /// In a transaction that the caller has opened.
    pub(crate) fn in_transaction(store: DieselSession<C>) -> Self {
        let mut conn = store.pool().get().unwrap();
        conn.begin_test_transaction().unwrap();
        Self { store, conn: Mutex::new(conn) }
    }

    pub(crate) fn outside_transactions(store: DieselSession<C>) -> Self {
        let conn = Mutex::new(store.pool().get().unwrap());
        Self { store, conn }
    }

    fn on<T>(&self, work: impl FnOnce(OnConnection<'_, C>) -> T) -> T {
        // A function that panics in an update leaves the connection usable.
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        work(self.store.on(&mut conn))
    }
}

impl<C: SessionConnection> Now for OnOneConnection<C> {
    type Key = SessionKey;
    type Value = String;
    type Period = TimeDelta;
    type Error = Error;

    fn default_period(&self) -> TimeDelta {
        self.store.default_period()
    }

    fn set_default_period(&self, period: TimeDelta) -> Result<(), Error> {
        self.store.set_default_period(period)
    }

    fn generate(&self, value: Option<String>, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        self.on(|mut on| on.generate(value.as_deref(), expiry))
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        self.on(|mut on| on.clear(key))
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        self.on(|mut on| on.get(key))
    }

    fn set(&self, key: &SessionKey, value: String, expiry: Option<TimeDelta>) -> Result<(), Error> {
        self.on(|mut on| on.set(key, &value, expiry))
    }
}

impl<C: SessionConnection> Sessions for OnOneConnection<C> {
    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        self.on(|mut on| on.rotate(key))
    }

    fn touch(&self, key: &SessionKey, expiry: Option<TimeDelta>) -> Result<bool, Error> {
        self.on(|mut on| on.touch(key, expiry))
    }

    fn update<E: From<Error>>(
        &self,
        key: &SessionKey,
        expiry: Option<TimeDelta>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        self.on(|mut on| on.update(key, expiry, change))
    }

    fn replace(
        &self,
        key: &SessionKey,
        expected: Option<String>,
        new: String,
        expiry: Option<TimeDelta>,
    ) -> Result<(), Error> {
        self.on(|mut on| on.replace(key, expected.as_deref(), &new, expiry))
    }

    fn generate_for(
        &self,
        owner: &str,
        value: Option<String>,
        expiry: Option<TimeDelta>,
    ) -> Result<SessionKey, Error> {
        self.on(|mut on| on.generate_for(owner, value.as_deref(), expiry))
    }

    fn bind(&self, key: &SessionKey, owner: &str) -> Result<(), Error> {
        self.on(|mut on| on.bind(key, owner))
    }

    fn owner_of(&self, key: &SessionKey) -> Result<Option<String>, Error> {
        self.on(|mut on| on.owner_of(key))
    }

    fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Error> {
        self.on(|mut on| on.sessions_of(owner, limit))
    }

    fn handle(&self, key: &SessionKey) -> SessionHandle {
        self.store.handle(key)
    }

    fn clear_owner(&self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error> {
        self.on(|mut on| on.clear_owner(owner, keep))
    }

    fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Error> {
        self.on(|mut on| on.clear_listed(owner, handle))
    }

    fn count(&self) -> Result<SessionCount, Error> {
        self.on(|mut on| on.count())
    }

    fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        self.on(|mut on| on.delete_expired(limit))
    }
}
