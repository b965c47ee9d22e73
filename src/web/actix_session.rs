//! The store for actix-session.

use std::collections::HashMap;

use actix_session::Session;
use actix_session::storage::{LoadError, SaveError, SessionKey as CookieKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;
use chrono::{DateTime, TimeDelta, Utc};

use super::adapter::{Adapter, Begun, NotLoaded, are_refused_data, created, period};
use super::data::{Field as _, reserved};
use super::{OnMissing, TextSource, WebStore};
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{Conflicts, Drawn, Nonce, Park};
use crate::session::{Expiry, SessionHandle};

/// The type of actix-session 0.11: JSON texts by name.
type SessionState = HashMap<String, String>;

/// A store for actix-session (0.11) over this crate's table (feature `actix-session`).
///
/// It has these properties, which other stores lack:
///
/// - **A logout is final**, on every server. A request that outlives the logout cannot restore the session under any
///   key, neither by its changes nor by its `Session::renew`. The same holds after
///   [`clear_owner`](crate::Sessions::clear_owner), and for a session that expires during the request.
/// - **A login that is clicked twice works.** If two requests renew a session at once, the session of the later one
///   lives. A session keeps its owner, its label and the time of its creation.
/// - **Changes merge.** A request writes the entries that it has changed. It keeps the entries that other requests have
///   changed since it loaded the session. [`conflicts`](Self::conflicts) sets the result if both have changed one
///   entry.
/// - **Keys are those of this crate**: 160 bits from the operating system. The table holds a hash of them.
/// - **`update_ttl` costs few writes.** It works as [`touch`](crate::Sessions::touch) does, and never shortens a
///   session.
/// - **Owners.** With [`owner_from`](Self::owner_from) you can list and end all sessions of a user.
///
/// # How a renewal works
///
/// At the end of a request, actix-session renews a session with `delete` and then `save`. It logs out with the same
/// `delete`. So `delete` parks the session, for at most ten minutes. For every operation, a parked session does not
/// exist. `clear`, `clear_owner` and a logout also end it.
///
/// `save` continues a parked session only if every request that deleted it has also saved it. Otherwise one of them was
/// a logout. If two requests have deleted a session before one of them saves it, the store refuses the first `save`.
/// That request ends with an internal error. If the requests follow each other, both succeed.
///
/// A browser keeps the cookie that reaches it last. If that is the earlier one, the visitor is signed out. If such a
/// request is cancelled between its `delete` and its `save`, the session also ends for the other request. These two
/// calls follow each other directly.
///
/// # What to know about actix-session
///
/// - The state of a loaded session has entries of this crate. Their names begin with `diesel-session.`. The table does
///   not hold them. One is the session's key, so do not send all entries of a session to a client.
/// - `Session::clear` discards everything that the request knows of the session. The request then replaces all entries.
///   If `Session::renew` follows, it begins another session.
/// - A renewal overwrites what other requests have saved since its own request loaded the session. So sign out with
///   `Session::purge`, not by removing an entry.
/// - A handler must give back a connection of the store's pool before it returns. If every request holds one connection
///   and waits for a second, no request gets one.
/// - Make one store and give each worker a clone. If the factory of `HttpServer` makes the store, each worker has its
///   own pool.
/// - Delete expired sessions with a [`Sweeper`](crate::Sweeper).
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
/// // On PostgreSQL you can pass an `AsyncDieselSession` without `Blocking`. It blocks no threads.
/// let store = ActixSessionStore::new(Blocking::from(sessions)).owner_from("user_id");
/// // App::new().wrap(actix_session::SessionMiddleware::new(store.clone(), cookie_key.clone()))
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ActixSessionStore<S> {
    adapter: Adapter<S, String>,
}

impl<S: WebStore> ActixSessionStore<S> {
    /// Makes a store without owners and labels, with [`OnMissing::Error`] and [`Conflicts::LastWriterWins`].
    pub fn new(store: S) -> Self {
        Self { adapter: Adapter::new(store) }
    }

    /// Sets the source of the session's owner: the name of an entry, a JSON pointer, or a function over the state. The
    /// values of the state are JSON texts. Each save copies the owner from the source. Default: saves leave the owner
    /// as it is.
    ///
    /// [`clear_owner`](crate::Sessions::clear_owner) and the other operations on owners then reach these sessions.
    /// [`Builder::owner_limit`](crate::Builder::owner_limit) counts them: use it with
    /// [`EndOldest`](crate::OwnerLimit::EndOldest). actix-session saves after the handler, so a refused login is an
    /// internal error for the visitor.
    ///
    /// # Examples
    ///
    /// ```
    /// use diesel_session::{ActixSessionStore, Blocking, MemorySession};
    ///
    /// let sessions = Blocking::new(MemorySession::new(), 8);
    ///
    /// // The name of an entry, and the user of actix-identity.
    /// let store = ActixSessionStore::new(sessions.clone()).owner_from("user_id");
    /// let store = ActixSessionStore::new(sessions).owner_from("actix_identity.user_id");
    /// ```
    pub fn owner_from(mut self, source: impl TextSource<String>) -> Self {
        self.adapter.owner_from(source.source());
        self
    }

    /// Sets the source of the session's [label](crate::Sessions::set_label), in the same forms as
    /// [`owner_from`](Self::owner_from). If the label is longer than 255 bytes, the save fails. Default: saves leave
    /// the label as it is.
    pub fn label_from(mut self, source: impl TextSource<String>) -> Self {
        self.adapter.label_from(source.source());
        self
    }

    /// Sets the result of an `update` if its session is gone. Default: [`OnMissing::Error`].
    pub fn on_missing(mut self, on_missing: OnMissing) -> Self {
        self.adapter.on_missing = on_missing;
        self
    }

    /// Sets the result of an `update` if another request has changed the same entry since the load. Default:
    /// [`Conflicts::LastWriterWins`].
    pub fn conflicts(mut self, conflicts: Conflicts) -> Self {
        self.adapter.conflicts(conflicts);
        self
    }

    /// Returns the key of the request's session, for the operations of [`Sessions`](crate::Sessions). With it you can
    /// keep this session while you end [all others of its owner](crate::Sessions::clear_owner).
    ///
    /// Returns `None` if the session was not in the database when this request loaded it, and after `Session::clear` or
    /// `Session::purge`.
    #[must_use]
    pub fn key(&self, session: &Session) -> Option<SessionKey> {
        session.entries().get(reserved::KEY).and_then(|key| key.parse().ok())
    }

    /// Returns the handle of the request's session. It marks this device among all sessions [of its
    /// owner](crate::Sessions::sessions_of). `None` as for [`key`](Self::key).
    #[must_use]
    pub fn handle(&self, session: &Session) -> Option<SessionHandle> {
        self.key(session).map(|key| self.adapter.store.handle(&key))
    }

    /// Returns when the request's session was created, by the database's clock. `None` as for [`key`](Self::key). Does
    /// not query the database.
    #[must_use]
    pub fn created(&self, session: &Session) -> Option<DateTime<Utc>> {
        session.entries().get(reserved::CREATED).and_then(|text| created(text))
    }
}

/// The value of actix-session's cookie: a key.
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

fn expiry(ttl: &Duration) -> TimeDelta {
    period(ttl.whole_milliseconds())
}

impl<S: WebStore> SessionStore for ActixSessionStore<S> {
    async fn load(&self, key: &CookieKey) -> Result<Option<SessionState>, LoadError> {
        let Ok(key) = key.as_ref().parse::<SessionKey>() else { return Ok(None) };
        let loaded = self.adapter.load(&key).await.map_err(|error| match error {
            NotLoaded::Failed(error) => LoadError::Other(error.into()),
            NotLoaded::OtherShape => {
                LoadError::Deserialization(anyhow::anyhow!("a session holds no state of actix-session"))
            }
        })?;
        Ok(loaded.map(|(mut data, _left)| {
            data.insert(reserved::KEY.to_owned(), String::reserved(key.as_str().to_owned()));
            data
        }))
    }

    async fn save(&self, state: SessionState, ttl: &Duration) -> Result<CookieKey, SaveError> {
        let begun =
            async { self.adapter.begin::<CookieValue>(&state, expiry(ttl), Some(Nonce::draw()?)).await };
        let Begun { drawn: CookieValue(key), .. } = begun.await.map_err(|error: Error| {
            if are_refused_data(&error) {
                SaveError::Serialization(error.into())
            } else {
                SaveError::Other(error.into())
            }
        })?;
        CookieKey::try_from(key.as_str().to_owned()).map_err(|error| SaveError::Other(error.into()))
    }

    async fn update(
        &self,
        key: CookieKey,
        state: SessionState,
        ttl: &Duration,
    ) -> Result<CookieKey, UpdateError> {
        // Never under another key, because that would restore a session after its logout.
        let saved = match key.as_ref().parse() {
            Ok(parsed) => self.adapter.save(&[parsed], &state, expiry(ttl)).await,
            Err(_malformed) => self.adapter.missing(),
        };
        saved.map(|()| key).map_err(|error| {
            if are_refused_data(&error) {
                UpdateError::Serialization(error.into())
            } else {
                UpdateError::Other(error.into())
            }
        })
    }

    async fn update_ttl(&self, key: &CookieKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        let touched = match key.as_ref().parse() {
            Ok(key) => self.adapter.store.touch(&key, Expiry::After(expiry(ttl))).await,
            Err(malformed) => Err(malformed),
        };
        match touched {
            // A session that is gone is neither prolonged nor created.
            Ok(_) | Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(&self, key: &CookieKey) -> Result<(), anyhow::Error> {
        match key.as_ref().parse() {
            Ok(key) => {
                let store = &self.adapter.store;
                Ok(store.execute(Park::new(store.options(), &key)).await?)
            }
            Err(_malformed) => Ok(()),
        }
    }
}
