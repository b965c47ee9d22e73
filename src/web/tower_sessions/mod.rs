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
mod versions;

pub use versions::{TowerId, TowerSession};

/// A store for tower-sessions over this crate's table: for tower-sessions 0.15 with the feature `tower-sessions`, for 0.14
/// with the feature `tower-sessions-0-14`, for both with both.
///
/// It adds to other stores:
///
/// - **A logout is final**, on every server. A request that outlives it cannot bring the session back: neither by its `save`
///   nor by the `create` after its `cycle_id`. The same holds after [`clear_owner`](crate::Sessions::clear_owner), and for
///   a session that expires during the request.
/// - **A login that is clicked twice works.** Of two requests that call `cycle_id` at once, both succeed, and the session of
///   the later one lives. A session keeps its owner, its label and the time when it was created.
/// - **Saves merge.** `save` writes the fields that this request has changed, and keeps the fields that other requests have
///   changed since this one loaded the session. [`conflicts`](Self::conflicts) says what happens if both changed one field.
/// - **No client chooses an id.** `create` draws its own. The table holds a hash of it.
/// - **Owners.** With [`owner_from`](Self::owner_from) you can list and end all sessions of a user.
///
/// The table holds a record's data, as JSON. The record's expiry is in a column, and the database's clock judges it. The
/// column has a resolution of 10 milliseconds on PostgreSQL and 1 millisecond on SQLite, so a loaded record's `expiry_date`
/// differs from the saved one by that much.
///
/// # How a renewal works
///
/// tower-sessions renews a session by `delete` and a later `create`. Between the two the session is *parked*, for ten
/// minutes at most. A parked session is absent for every operation. `clear`, `clear_owner` and a logout end it, too.
/// `load` returns a record under an *alias* of its id. tower-sessions passes this alias to `delete` in a renewal, and the
/// cookie's id in a logout: so the store knows which of the two it is. An alias opens no session. If a request runs longer
/// than ten minutes after its `cycle_id`, its save fails.
///
/// A browser keeps the cookie that reaches it last. If the first of two renewals is the last to arrive, the visitor is
/// logged out.
///
/// # What to know about tower-sessions
///
/// - It does not save a session if the response is a server error (5xx). After `cycle_id` in such a request, the visitor is
///   signed out.
/// - It saves, and so prolongs, only a session that the request has changed. With `Expiry::OnInactivity` a visitor who only
///   reads is signed out in the end. `with_always_save` prolongs with each request, and so writes with each one.
/// - The layer's expiry replaces the expiry of the record at each save. For "remember me", keep the choice in a field of the
///   session. A middleware inside the layer reads the field and calls `Session::set_expiry` in every request. That counts as
///   a change, so each request of such a session writes.
/// - If an explicit `Session::save` has begun a session, `cycle_id` in the same request fails at the end of the request. With
///   [`Conflicts::Reject`] a second save of the same field fails. Call `Session::load` after an explicit `save` to avoid both.
/// - `Session::clear` discards all that the request knows of the session. The next save replaces all fields. `cycle_id`
///   then begins another session, without the old one's owner, label and [age](crate::Builder::max_lifetime).
/// - A renewal writes the data of its own request over what other requests have saved since it loaded them. So sign out by
///   `Session::flush`, not by removing a field.
/// - After `cycle_id` the session has no id until the request ends. So call [`clear_owner`](crate::Sessions::clear_owner)
///   before it, or take [`key`](Self::key) before: otherwise `clear_owner` ends this session with the others. `Session::flush`
///   after `cycle_id` calls no store, so a request that renews at the same time can continue the session.
/// - A handler must give back a connection of the store's pool before it asks for the session. If every request holds one
///   connection and waits for a second, none gets it.
/// - Do not cache this store (`CachingSessionStore`). A cache does not know of logouts elsewhere, and it returns records under
///   their own ids, so that every `cycle_id` is taken for a logout.
/// - Delete expired sessions by a [`Sweeper`](crate::Sweeper). It survives a failure, as `continuously_delete_expired` does
///   not.
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
/// // On PostgreSQL an `AsyncDieselSession`, as it is, would do without blocking threads.
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

/// Who hears of each failure.
#[derive(Clone)]
struct Report(Arc<dyn Fn(&Error) + Send + Sync>);

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}

impl<S: WebStore> TowerSessionStore<S> {
    /// The store, without owners and labels, with [`OnMissing::Error`] and [`Conflicts::LastWriterWins`].
    pub fn new(store: S) -> Self {
        Self { adapter: Adapter::new(store), on_error: Report(Arc::new(|_| {})) }
    }

    /// Sets the source of the session's owner: the name of a field, a JSON pointer, or a function over the data. Each
    /// `create` and `save` copies it to the session's owner. Default: saves leave the owner as it is.
    ///
    /// [`clear_owner`](crate::Sessions::clear_owner) and the other operations on owners then reach these sessions, and
    /// [`Builder::owner_limit`](crate::Builder::owner_limit) counts them. Use
    /// [`EndOldest`](crate::OwnerLimit::EndOldest) there: tower-sessions saves after the handler, so a login that is refused
    /// is an internal error for the visitor.
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
    /// // A field; the user of axum-login; and the member of a team.
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

    /// Sets the source of the session's [label](crate::Sessions::set_label), as [`owner_from`](Self::owner_from) has it. A
    /// label has at most 255 bytes; a longer one is an error at the save. Default: saves leave the label as it is.
    pub fn label_from(mut self, source: impl TextSource<Value>) -> Self {
        self.adapter.label_from(source.source());
        self
    }

    /// Sets the effect of a `save` if its session is gone. Default: [`OnMissing::Error`].
    pub fn on_missing(mut self, on_missing: OnMissing) -> Self {
        self.adapter.on_missing = on_missing;
        self
    }

    /// Sets the effect of a `save` if another request has changed the same field since the load. Default:
    /// [`Conflicts::LastWriterWins`].
    pub fn conflicts(mut self, conflicts: Conflicts) -> Self {
        self.adapter.conflicts(conflicts);
        self
    }

    /// The key of the session with this id, for the operations of [`Sessions`](crate::Sessions): for example to keep this
    /// session while [all others of its owner](crate::Sessions::clear_owner) end. An id of tower-sessions 0.14 or 0.15.
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

    /// The handle of the session with this id: what marks this device among all
    /// [of its owner](crate::Sessions::sessions_of).
    #[must_use]
    pub fn handle(&self, id: &impl TowerId) -> SessionHandle {
        self.adapter.store.handle(&self.key(id))
    }

    /// When the session was created, by the database's clock. `None` for a session that was not in the database when this
    /// request loaded it. Loads the session if the request has not done so yet, and asks nothing else of the database.
    ///
    /// # Errors
    ///
    /// What `Session::get` returns.
    pub async fn created<T: TowerSession>(&self, session: &T) -> Result<Option<DateTime<Utc>>, T::Error> {
        let field = session.field(reserved::CREATED).await?;
        Ok(field.as_ref().and_then(Value::as_reserved).and_then(created))
    }

    /// Calls a function with each error of the store: tower-sessions itself keeps only the error's text. With the feature
    /// `tracing` each failure is also an event. Default: nothing.
    pub fn on_error(mut self, report: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.on_error = Report(Arc::new(report));
        self
    }
}
