//! The store for actix-session.

use std::collections::HashMap;

use actix_session::storage::{LoadError, SaveError, SessionKey as CookieKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;
use chrono::TimeDelta;
use serde_json::Value;

use super::adapter::{Adapter, CREATED_FIELD, Draft, HANDLE_FIELD, NoOwner, created, handle, period};
use super::{OnMissing, WebStore};
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{Drawn, SavedOwner};
use crate::session::{Expiry, Session};

/// As actix-session 0.11 has it: JSON texts by name.
type SessionState = HashMap<String, String>;

/// A [`SessionStore`] of actix-session (0.11) over this crate's table (feature `actix-session`).
///
/// What it adds to others: a session that was deleted is not brought back by a request that outlives the logout, under
/// no key, neither by its changes nor by its `Session::renew`; keys are this crate's, 160 bits from the operating
/// system, and hashed at rest; `update_ttl` never shortens a session, and costs no write a request
/// ([`touch`](crate::Sessions::touch)); with [`owner_from`](Self::owner_from) all sessions of a user can be listed and
/// ended.
///
/// Two requests of one session that both change it overwrite each other's state, as with every store of
/// actix-session: for counters and the like use [`AsyncSessions::update`](crate::AsyncSessions::update) on a session
/// of your own.
///
/// The state of a loaded session has two entries more, which are not stored. [`CREATED_FIELD`](crate::CREATED_FIELD) is
/// carried on by `Session::renew`, with the [longest lifetime](crate::Builder::max_lifetime), but not where
/// `Session::clear` came before. [`HANDLE_FIELD`](crate::HANDLE_FIELD) marks this device among all
/// [of its owner](crate::Sessions::sessions_of); and by it a renewal is known, which goes on with no session that
/// another request ends at the same moment: so of two renewals at once none may.
///
/// A handler must give back a connection of the store's pool before it asks for the session: if every request holds one
/// connection and waits for a second, none gets it.
///
/// While the middleware renews a session, at the end of a request, a [`clear_owner`](crate::Sessions::clear_owner) does
/// not reach it, nor does a logout on another server. Delete expired sessions by a [`Sweeper`](crate::Sweeper).
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use diesel::sqlite::SqliteConnection;
/// use diesel_session::{ActixSessionStore, Blocking, DieselSession, TimeDelta};
///
/// let sessions = DieselSession::<SqliteConnection>::builder()
///     .max_lifetime(TimeDelta::hours(12))
///     .connect(":memory:")?;
/// sessions.migrate()?;
///
/// // On PostgreSQL an `AsyncDieselSession`, as it is, would do without blocking threads.
/// let store = ActixSessionStore::new(Blocking::from(sessions)).owner_from("user_id");
/// // App::new().wrap(actix_session::SessionMiddleware::new(store.clone(), cookie_key.clone()))
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ActixSessionStore<S> {
    adapter: Adapter<S>,
}

impl<S: WebStore> ActixSessionStore<S> {
    /// The store, without owners, and with [`OnMissing::Error`].
    pub fn new(store: S) -> Self {
        Self { adapter: Adapter::new(store) }
    }

    /// The entry of a session's state that names its owner, text or a number, which is kept as text: each save
    /// copies it to the owner, which is nobody where the entry is missing.
    ///
    /// Then [`clear_owner`](crate::Sessions::clear_owner) and its like reach these sessions, and
    /// [`Builder::owner_limit`](crate::Builder::owner_limit) counts them: with
    /// [`EndOldest`](crate::OwnerLimit::EndOldest), since the handler is over when a login would be refused, and the
    /// visitor would see an internal error.
    pub fn owner_from(mut self, entry: &str) -> Self {
        self.adapter.owner_field = Some(entry.to_owned());
        self
    }

    /// What an `update` does whose session is gone. Defaults to [`OnMissing::Error`].
    pub fn on_missing(mut self, on_missing: OnMissing) -> Self {
        self.adapter.on_missing = on_missing;
        self
    }

    fn owner(&self, state: &SessionState) -> Result<SavedOwner, NoOwner> {
        // What is no JSON is nobody's name either.
        self.adapter.owner(|field| state.get(field).map(|text| json(text).unwrap_or(Value::Bool(false))))
    }
}

/// What actix-session's cookie carries: a key.
#[derive(Clone, Copy)]
struct CookieValue(SessionKey);

impl Drawn for CookieValue {
    const OPERATION: &'static str = "create";

    fn draw() -> Result<Self, Error> {
        SessionKey::random().map(Self)
    }

    fn key(&self) -> SessionKey {
        self.0
    }
}

/// An entry's text is JSON.
fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// The state as it is kept: without what this adapter adds to it.
fn encode(mut state: SessionState) -> Result<String, serde_json::Error> {
    state.remove(CREATED_FIELD);
    state.remove(HANDLE_FIELD);
    serde_json::to_string(&state)
}

fn expiry(ttl: &Duration) -> TimeDelta {
    period(ttl.whole_milliseconds())
}

impl<S: WebStore> SessionStore for ActixSessionStore<S> {
    async fn load(&self, key: &CookieKey) -> Result<Option<SessionState>, LoadError> {
        let Ok(key) = key.as_ref().parse::<SessionKey>() else { return Ok(None) };
        let loaded = self.adapter.load(&key).await.map_err(|error| LoadError::Other(error.into()))?;
        let Some((Session { handle, created, .. }, value)) = loaded else { return Ok(None) };
        // serde_json's own error quotes the value.
        let mut state: SessionState = serde_json::from_str(&value).map_err(|_| {
            LoadError::Deserialization(anyhow::anyhow!("a session holds no state of actix-session"))
        })?;
        state.insert(CREATED_FIELD.to_owned(), created.timestamp_millis().to_string());
        state.insert(HANDLE_FIELD.to_owned(), Value::from(handle.to_string()).to_string());
        Ok(Some(state))
    }

    async fn save(&self, state: SessionState, ttl: &Duration) -> Result<CookieKey, SaveError> {
        let draft = Draft {
            owner: self.owner(&state).map_err(|error| SaveError::Serialization(error.into()))?,
            expiry: expiry(ttl),
            handle: state.get(HANDLE_FIELD).and_then(|text| handle(&json(text)?)),
            created: state.get(CREATED_FIELD).and_then(|text| created(&json(text)?)),
            value: encode(state).map_err(|error| SaveError::Serialization(error.into()))?,
        };
        let begun = self.adapter.begin::<CookieValue>(draft).await;
        let CookieValue(key) = begun.map_err(|error| SaveError::Other(error.into()))?;
        CookieKey::try_from(key.as_str().to_owned()).map_err(|error| SaveError::Other(error.into()))
    }

    async fn update(
        &self,
        key: CookieKey,
        state: SessionState,
        ttl: &Duration,
    ) -> Result<CookieKey, UpdateError> {
        let owner = self.owner(&state).map_err(|error| UpdateError::Serialization(error.into()))?;
        let value = encode(state).map_err(|error| UpdateError::Serialization(error.into()))?;
        // Never under another key: that would bring a session back that was logged out.
        let saved = match key.as_ref().parse() {
            Ok(parsed) => self.adapter.save(parsed, value, owner, expiry(ttl)).await,
            Err(_malformed) => self.adapter.missing(),
        };
        saved.map(|()| key).map_err(|error| UpdateError::Other(error.into()))
    }

    async fn update_ttl(&self, key: &CookieKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        let touched = match key.as_ref().parse() {
            Ok(key) => self.adapter.store.touch(&key, Expiry::After(expiry(ttl))).await,
            Err(malformed) => Err(malformed),
        };
        match touched {
            // A session that is gone has nothing to prolong, and none is made.
            Ok(_) | Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(&self, key: &CookieKey) -> Result<(), anyhow::Error> {
        match key.as_ref().parse() {
            Ok(key) => Ok(self.adapter.delete(key).await?),
            Err(_malformed) => Ok(()),
        }
    }
}
