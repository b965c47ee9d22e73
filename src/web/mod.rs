//! Adapters for web frameworks, and what they need of a store: sessions under keys that are given.

use std::fmt;
use std::future::Future;

use chrono::{DateTime, TimeDelta, Utc};

use crate::asynchronous::Blocking;
use crate::backend::SessionConnection;
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{Adopt, Clear, DeleteExpired, Inspect, Overwrite, Touch};
use crate::store::DieselSession;

#[cfg(feature = "actix-session")]
pub(crate) mod actix_session;
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
    /// the cookie of the dead session, over that of a login meanwhile.
    Ignore,
}

/// A store that web frameworks' session layers can use: [`Blocking`] over a [`DieselSession`]. Sealed.
pub trait WebStore: Clone + fmt::Debug + Send + Sync + 'static {
    /// Whether sessions have a longest lifetime.
    fn has_max_lifetime(&self) -> bool;

    /// Starts a session; `false` where the key is taken.
    fn create(&self, session: NewSession) -> impl Future<Output = Result<bool, Error>> + Send;

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

/// What a save does to a session's owner.
#[derive(Debug, Clone)]
pub enum SavedOwner {
    /// It stays whoever it is.
    Stays,
    /// It is this one, or nobody.
    Is(Option<String>),
}

#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
impl SavedOwner {
    fn of_a_new_session(self) -> Option<String> {
        match self {
            Self::Is(owner) => owner,
            Self::Stays => None,
        }
    }
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
        owner: SavedOwner,
        expiry: TimeDelta,
    ) -> Result<(), Error> {
        self.run(move |store| store.call(Overwrite::new(store.rules(), &key, value, owner, expiry))).await
    }

    async fn touch(&self, key: SessionKey, expiry: TimeDelta) -> Result<bool, Error> {
        self.run(move |store| store.call(Touch::new(store.rules(), &key, Some(expiry)))).await
    }

    async fn delete(&self, key: SessionKey) -> Result<(), Error> {
        self.run(move |store| store.call(Ok(Clear::new(store.rules(), &key)))).await
    }

    async fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        self.run(move |store| store.call(Ok(DeleteExpired { limit }))).await
    }
}

/// Where a framework's data say when their session began, in milliseconds since 1970, so that a session that gets
/// another key does not begin anew. It is not stored.
#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
const CREATED: &str = "diesel-session.created";

#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
fn created_on(field: &serde_json::Value) -> Option<DateTime<Utc>> {
    field.as_i64().and_then(DateTime::from_timestamp_millis)
}

/// The owner that a field of a framework's data names; nobody where it is missing or null.
#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
fn owner(field: Option<&serde_json::Value>) -> Result<Option<String>, NoOwner> {
    use serde_json::Value;

    match field {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(owner)) => Ok(Some(owner.clone())),
        Some(Value::Number(owner)) => Ok(Some(owner.to_string())),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Err(NoOwner),
    }
}

/// A framework's period, as long as a database can hold: 'never' is a very long time.
#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
fn period(milliseconds: i128) -> TimeDelta {
    use crate::rules::LONGEST_PERIOD;

    let longest = i128::from(LONGEST_PERIOD.num_milliseconds());
    let milliseconds = i64::try_from(milliseconds.clamp(-longest, longest));
    milliseconds.map_or(LONGEST_PERIOD, TimeDelta::milliseconds)
}

#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
#[derive(Debug, thiserror::Error)]
#[error("the field that names a session's owner is neither text nor a number")]
struct NoOwner;
