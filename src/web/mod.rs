//! Adapters for web frameworks, and what they need of a store: sessions under keys that are given.

use std::fmt;
use std::future::Future;

use chrono::{DateTime, TimeDelta, Utc};
#[cfg(feature = "diesel-async")]
use diesel_async::AsyncPgConnection;

use crate::asynchronous::Blocking;
#[cfg(feature = "diesel-async")]
use crate::asynchronous::{AsyncDieselSession, AsyncPool};
use crate::backend::{OwnerQueries, SessionConnection, Transactions};
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{Delete, DeleteExpired, Drawn, Generate, Inspect, Operation, Overwrite, Touch};
use crate::owner::SessionHandle;
use crate::rules::Rules;
use crate::store::DieselSession;

#[cfg(feature = "actix-session")]
pub(crate) mod actix_session;
#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
pub(crate) mod adapter;
#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
mod renewals;
#[cfg(feature = "tower-sessions")]
pub(crate) mod tower_sessions;

/// What becomes of a request's changes to a session that was deleted, or expired, since the request has loaded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Vanished {
    /// The save fails, and the middleware answers with an internal error: nothing is lost in silence.
    #[default]
    Reject,
    /// They are lost: a request that outlives a logout ends as if it had changed nothing. The middleware still sends
    /// the cookie of a dead session, over that of a login meanwhile.
    Ignore,
}

/// A store that web frameworks' session layers can use: `AsyncDieselSession`, or [`Blocking`] over a
/// [`DieselSession`]. Sealed.
pub trait WebStore: Clone + fmt::Debug + Send + Sync + 'static {
    /// What a page may show of a session.
    fn handle(&self, key: &SessionKey) -> SessionHandle;

    /// Starts a session and returns what it is known by.
    fn create<D: Drawn>(&self, session: NewSession) -> impl Future<Output = Result<D, Error>> + Send;

    /// Reads a live session.
    fn load(&self, key: SessionKey) -> impl Future<Output = Result<LoadedSession, Error>> + Send;

    /// Sets a live session's value and expiry, and its owner.
    fn save(
        &self,
        key: SessionKey,
        value: String,
        owner: SavedOwner,
        expiry: TimeDelta,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Prolongs a live session, and says whether it wrote.
    fn touch(&self, key: SessionKey, expiry: TimeDelta) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Ends a session; `false` where there was none.
    fn delete(&self, key: SessionKey) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Deletes one batch of expired sessions.
    fn delete_expired(&self, limit: u32) -> impl Future<Output = Result<usize, Error>> + Send;
}

/// A session that a framework begins.
#[allow(missing_debug_implementations, reason = "it holds a value")]
pub struct NewSession {
    pub(crate) value: String,
    pub(crate) owner: Option<String>,
    /// When it began, where it goes on under a new key.
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) expiry: TimeDelta,
}

/// What a save does to a session's owner.
#[derive(Debug, Clone)]
pub enum SavedOwner {
    /// It stays whoever it is.
    Stays,
    /// It is this one, or nobody.
    Is(Option<String>),
}

/// A live session.
#[allow(missing_debug_implementations, reason = "it holds a value")]
#[cfg_attr(
    not(feature = "tower-sessions"),
    allow(dead_code, reason = "only tower-sessions asks for all of it")
)]
pub struct LoadedSession {
    pub(crate) value: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) left: TimeDelta,
}

/// A store that runs any operation.
trait Calls: Clone + fmt::Debug + Send + Sync + 'static {
    type Connection: OwnerQueries + Transactions;

    fn rules(&self) -> &Rules;

    fn call<O: Operation<Self::Connection> + 'static>(
        &self,
        operation: Result<O, Error>,
    ) -> impl Future<Output = Result<O::Output, Error>> + Send;

    fn inspect(&self, operation: Inspect) -> impl Future<Output = Result<LoadedSession, Error>> + Send {
        self.call(Ok(operation))
    }
}

impl<S: Calls> WebStore for S {
    fn handle(&self, key: &SessionKey) -> SessionHandle {
        self.rules().handle(key)
    }

    async fn create<D: Drawn>(&self, session: NewSession) -> Result<D, Error> {
        let NewSession { value, owner, since, expiry } = session;
        self.call(Generate::new(self.rules(), owner.as_deref(), Some(value), since, Some(expiry))).await
    }

    async fn load(&self, key: SessionKey) -> Result<LoadedSession, Error> {
        self.inspect(Inspect::new(self.rules(), &key)).await
    }

    async fn save(
        &self,
        key: SessionKey,
        value: String,
        owner: SavedOwner,
        expiry: TimeDelta,
    ) -> Result<(), Error> {
        self.call(Overwrite::new(self.rules(), &key, value, owner, expiry)).await
    }

    async fn touch(&self, key: SessionKey, expiry: TimeDelta) -> Result<bool, Error> {
        self.call(Touch::new(self.rules(), &key, Some(expiry))).await
    }

    async fn delete(&self, key: SessionKey) -> Result<bool, Error> {
        self.call(Ok(Delete::new(self.rules(), &key))).await
    }

    async fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        self.call(Ok(DeleteExpired { limit })).await
    }
}

impl<C: SessionConnection> Calls for Blocking<DieselSession<C>> {
    type Connection = C;

    fn rules(&self) -> &Rules {
        self.store().rules()
    }

    async fn call<O: Operation<C> + 'static>(&self, operation: Result<O, Error>) -> Result<O::Output, Error> {
        self.run(move |store| store.call(operation)).await
    }
}

#[cfg(feature = "diesel-async")]
impl<P: AsyncPool> Calls for AsyncDieselSession<P> {
    type Connection = AsyncPgConnection;

    fn rules(&self) -> &Rules {
        self.rules()
    }

    async fn call<O: Operation<AsyncPgConnection> + 'static>(
        &self,
        operation: Result<O, Error>,
    ) -> Result<O::Output, Error> {
        self.call(operation).await
    }

    async fn inspect(&self, operation: Inspect) -> Result<LoadedSession, Error> {
        self.read(operation).await
    }
}
