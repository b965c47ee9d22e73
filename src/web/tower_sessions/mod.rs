//! The store for tower-sessions, the session layer of axum and other tower services.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::adapter::{Adapter, created};
use super::data::{Field as _, reserved};
use super::{OnMissing, TextSource, WebStore};
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::Conflicts;
use crate::session::SessionHandle;

mod calls;
mod import;
mod versions;

pub use import::ImportOutcome;
pub use versions::{TowerId, TowerRecord, TowerSession};

/// A store for tower-sessions over this crate's table. The feature `tower-sessions` is for tower-sessions 0.15, and the
/// feature `tower-sessions-0-14` is for 0.14. Both features can be on.
///
/// It has these properties, which other stores lack:
///
/// - **A logout is final**, on every server. A request that outlives the logout cannot restore the session, neither by
///   its `save` nor by the `create` after its `cycle_id`. The same holds after
///   [`clear_owner`](crate::Sessions::clear_owner), and for a session that expires during the request.
/// - **A login that is clicked twice works.** If two requests call `cycle_id` at once, both succeed, and the session of
///   the later one lives. A session keeps its owner, its label and the time of its creation.
/// - **Saves merge.** `save` writes the fields that this request has changed. It keeps the fields that other requests
///   have changed since this one loaded the session. [`conflicts`](Self::conflicts) sets the result if both have
///   changed one field.
/// - **No client chooses an id.** `create` draws a new one. The table holds a hash of it.
/// - **Owners.** With [`owner_from`](Self::owner_from) you can list and end all sessions of a user.
///
/// The table holds a record's data as JSON. A column holds its expiry, and the database's clock decides whether it has
/// passed. The column has a resolution of 10 milliseconds on PostgreSQL and 1 millisecond on SQLite. So the
/// `expiry_date` of a loaded record differs from the saved one by that much.
///
/// # How a renewal works
///
/// tower-sessions renews a session with `delete` and a later `create`. Between the two, the session is parked, for at
/// most ten minutes. For every operation, a parked session does not exist. `clear`, `clear_owner` and a logout also end
/// it.
///
/// `load` returns a record under an alias of its id. The alias opens no session. In a renewal, tower-sessions passes
/// the alias to `delete`. In a logout, it passes the cookie's id. So the store knows which of the two it is. If a
/// request runs longer than ten minutes after its `cycle_id`, its save fails.
///
/// A browser keeps the cookie that reaches it last. If the first of two renewals arrives last, the visitor is signed
/// out.
///
/// # What to know about tower-sessions
///
/// - It does not save a session if the response is a server error (5xx). After `cycle_id` in such a request, the
///   visitor is signed out.
/// - It saves, and so prolongs, only a session that the request has changed. With `Expiry::OnInactivity`, a visitor who
///   only reads is signed out in the end. `with_always_save` prolongs the session in each request, and so writes in
///   each request.
/// - The layer's expiry replaces the expiry of the record at each save. For "remember me", keep the choice in a field
///   of the session. A middleware inside the layer reads the field and calls `Session::set_expiry` in every request.
///   That counts as a change, so each request of such a session writes.
/// - If an explicit `Session::save` has begun a session, `cycle_id` in the same request fails at the end of the
///   request. With [`Conflicts::Reject`], a second save of the same field fails. To avoid both, call `Session::load`
///   after an explicit `save`.
/// - `Session::clear` discards everything that the request knows of the session. The next save replaces all fields. If
///   `cycle_id` follows, it begins another session, without the old one's owner, label and
///   [age](crate::Builder::max_lifetime).
/// - A renewal overwrites what other requests have saved since its own request loaded the session. So sign out with
///   `Session::flush`, not by removing a field.
/// - After `cycle_id` the session has no id until the request ends. So call
///   [`clear_owner`](crate::Sessions::clear_owner) or [`key`](Self::key) before it. Otherwise `clear_owner` ends this
///   session with the others.
/// - `Session::flush` after `cycle_id` calls no store. So a request that renews at the same time can continue the
///   session.
/// - A handler must give back a connection of the store's pool before it asks for the session. If every request holds
///   one connection and waits for a second, no request gets one.
/// - Do not cache this store (`CachingSessionStore`). A cache does not learn of logouts on other servers. It also
///   returns records under their own ids, so the store takes every `cycle_id` for a logout.
/// - Delete expired sessions with a [`Sweeper`](crate::Sweeper). It continues after a failure, unlike
///   `continuously_delete_expired`.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use diesel::sqlite::SqliteConnection;
/// use diesel_session::{Blocking, DieselSession, TimeDelta, TowerSessionStore};
///
/// let sessions = DieselSession::<SqliteConnection>::builder()
///     .max_lifetime(TimeDelta::hours(12))
///     .connect(":memory:")?;
/// sessions.migrate()?;
///
/// // On PostgreSQL you can pass an `AsyncDieselSession` without `Blocking`. It blocks no threads.
/// let store = TowerSessionStore::new(Blocking::from(sessions)).owner_from("user_id");
/// // let layer = tower_sessions::SessionManagerLayer::new(store);
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct TowerSessionStore<S> {
    adapter: Adapter<S, Value>,
    on_error: Report,
}

/// The function that is called with each failure.
#[derive(Clone)]
struct Report(Arc<dyn Fn(&Error) + Send + Sync>);

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}

impl<S: WebStore> TowerSessionStore<S> {
    /// Makes a store without owners and labels, with [`OnMissing::Error`] and [`Conflicts::LastWriterWins`].
    pub fn new(store: S) -> Self {
        Self { adapter: Adapter::new(store), on_error: Report(Arc::new(|_| {})) }
    }

    /// Sets the source of the session's owner: the name of a field, a JSON pointer, or a function over the data. Each
    /// `create` and `save` copies the owner from the source. Default: saves leave the owner as it is.
    ///
    /// [`clear_owner`](crate::Sessions::clear_owner) and the other operations on owners then reach these sessions.
    /// [`Builder::owner_limit`](crate::Builder::owner_limit) counts them: use it with
    /// [`EndOldest`](crate::OwnerLimit::EndOldest). tower-sessions saves after the handler, so a refused login is an
    /// internal error for the visitor.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// use diesel_session::{Blocking, MemorySession, TowerSessionStore};
    /// use serde_json::Value;
    ///
    /// let sessions = Blocking::new(MemorySession::new(), 8);
    ///
    /// // The name of a field, the user of axum-login, and the member of a team.
    /// let store = TowerSessionStore::new(sessions.clone()).owner_from("user_id");
    /// let store = TowerSessionStore::new(sessions.clone()).owner_from("/axum-login.data/user_id");
    /// let store = TowerSessionStore::new(sessions).owner_from(|data: &HashMap<String, Value>| {
    ///     Some(format!("{}/{}", data.get("team")?.as_str()?, data.get("user")?.as_str()?))
    /// });
    /// ```
    pub fn owner_from(mut self, source: impl TextSource<Value>) -> Self {
        self.adapter.owner_from(source.source());
        self
    }

    /// Sets the source of the session's [label](crate::Sessions::set_label), in the same forms as
    /// [`owner_from`](Self::owner_from). If the label is longer than 255 bytes, the save fails. Default: saves leave
    /// the label as it is.
    pub fn label_from(mut self, source: impl TextSource<Value>) -> Self {
        self.adapter.label_from(source.source());
        self
    }

    /// Sets the result of a `save` if its session is gone. Default: [`OnMissing::Error`].
    pub fn on_missing(mut self, on_missing: OnMissing) -> Self {
        self.adapter.on_missing = on_missing;
        self
    }

    /// Sets the result of a `save` if another request has changed the same field since the load. Default:
    /// [`Conflicts::LastWriterWins`].
    pub fn conflicts(mut self, conflicts: Conflicts) -> Self {
        self.adapter.conflicts(conflicts);
        self
    }

    /// Returns the key of the session with this id, for the operations of [`Sessions`](crate::Sessions). With it you
    /// can keep this session while you end [all others of its owner](crate::Sessions::clear_owner). The id is one of
    /// tower-sessions 0.14 or 0.15.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # #[cfg(all(feature = "sqlite", feature = "tower-sessions"))] {
    /// use diesel::sqlite::SqliteConnection;
    /// use diesel_session::{AsyncSessions, Blocking, DieselSession, Error, TowerSessionStore};
    /// use tower_sessions_core::Session;
    ///
    /// type Store = Blocking<DieselSession<SqliteConnection>>;
    ///
    /// async fn sign_out_elsewhere(
    ///     sessions: &Store,
    ///     store: &TowerSessionStore<Store>,
    ///     session: &Session,
    ///     user: &str,
    /// ) -> Result<usize, Error> {
    ///     let this = session.id().map(|id| store.key(&id));
    ///     sessions.clear_owner(user, this.as_ref()).await
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn key(&self, id: &impl TowerId) -> SessionKey {
        calls::key(id.number())
    }

    /// Returns the handle of the session with this id. It marks this device among all sessions [of its
    /// owner](crate::Sessions::sessions_of).
    #[must_use]
    pub fn handle(&self, id: &impl TowerId) -> SessionHandle {
        self.adapter.store.handle(&self.key(id))
    }

    /// Returns when the session was created, by the database's clock. `None` for a session that was not in the database
    /// when this request loaded it. Loads the session if the request has not done so yet, and sends no other query.
    ///
    /// # Errors
    ///
    /// The errors of `Session::get`.
    pub async fn created<T: TowerSession>(&self, session: &T) -> Result<Option<DateTime<Utc>>, T::Error> {
        let field = session.field(reserved::CREATED).await?;
        Ok(field.as_ref().and_then(Value::as_reserved).and_then(created))
    }

    /// Calls a function with each error of the store, because tower-sessions itself keeps only the error's text. With
    /// the feature `tracing` each failure is also an event. Default: no function.
    pub fn on_error(mut self, report: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.on_error = Report(Arc::new(report));
        self
    }
}
