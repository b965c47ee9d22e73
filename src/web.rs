//! What the adapters of web frameworks need of a store: sessions under keys that a framework draws.

use std::fmt;
use std::future::Future;

use chrono::{DateTime, TimeDelta, Utc};

use crate::backend::SessionConnection;
use crate::blocking::Blocking;
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{Adopt, Clear, DeleteExpired, Inspect, Overwrite};
use crate::store::DieselSession;

/// A store that web frameworks' session layers can use: [`Blocking`] over a [`DieselSession`]. Sealed.
pub trait WebStore: Clone + fmt::Debug + Send + Sync + 'static {
    /// Whether sessions have a longest lifetime.
    fn has_max_lifetime(&self) -> bool;

    /// Starts a session; `false` where the key is taken.
    fn create(&self, session: NewSession) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Reads a live session.
    fn load(&self, key: SessionKey) -> impl Future<Output = Result<LoadedSession, Error>> + Send;

    /// Sets a live session's value and expiry, and its owner where there is one.
    fn save(
        &self,
        key: SessionKey,
        value: String,
        owner: Option<String>,
        expiry: TimeDelta,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Ends a session.
    fn delete(&self, key: SessionKey) -> impl Future<Output = Result<(), Error>> + Send;

    /// Deletes one batch of expired sessions.
    fn delete_expired(&self, limit: u32) -> impl Future<Output = Result<usize, Error>> + Send;
}

/// A session that a framework begins.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "it holds a key and a value")]
pub struct NewSession {
    pub(crate) key: SessionKey,
    pub(crate) value: String,
    pub(crate) owner: Option<String>,
    /// When it began, where it goes on under a new key.
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) expiry: TimeDelta,
}

/// A live session.
#[allow(missing_debug_implementations, reason = "it holds a value")]
pub struct LoadedSession {
    pub(crate) value: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) left: TimeDelta,
}

impl<C: SessionConnection> WebStore for Blocking<DieselSession<C>> {
    fn has_max_lifetime(&self) -> bool {
        self.store().rules().has_max_lifetime()
    }

    async fn create(&self, session: NewSession) -> Result<bool, Error> {
        self.run(move |store| store.call(Adopt::new(store.rules(), session))).await
    }

    async fn load(&self, key: SessionKey) -> Result<LoadedSession, Error> {
        self.run(move |store| store.call(Ok(Inspect::new(store.rules(), &key)))).await
    }

    async fn save(
        &self,
        key: SessionKey,
        value: String,
        owner: Option<String>,
        expiry: TimeDelta,
    ) -> Result<(), Error> {
        self.run(move |store| store.call(Overwrite::new(store.rules(), &key, value, owner, expiry))).await
    }

    async fn delete(&self, key: SessionKey) -> Result<(), Error> {
        self.run(move |store| store.call(Ok(Clear::new(store.rules(), &key)))).await
    }

    async fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        self.run(move |store| store.call(Ok(DeleteExpired { limit }))).await
    }
}
