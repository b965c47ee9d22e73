//! The store for tower-sessions, the session layer of axum and other tower services.

use async_trait::async_trait;
use chrono::TimeDelta;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use time::OffsetDateTime;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::{Error as StoreError, ExpiredDeletion, Result, SessionStore};

use super::adapter::{Adapter, CREATED_FIELD, Draft, HANDLE_FIELD, created, handle, period};
use super::{OnMissing, WebStore};
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{Drawn, SavedOwner};
use crate::session::Session;
use crate::sweeper::{BATCH, PAUSE};

/// A [`SessionStore`] of tower-sessions (0.15) over this crate's table (feature `tower-sessions`).
///
/// What it adds to others: a session that was deleted is not brought back by a request that outlives the logout,
/// neither by its `save` nor by the `create` after its `cycle_id`; `create` draws its own id, and so takes neither
/// another session's nor one that a client has chosen; the id is hashed at rest; with
/// [`owner_from`](Self::owner_from) all sessions of a user can be listed and ended.
///
/// Only a record's data is stored, as JSON; its id is hashed under a name of its own, its expiry is kept in the
/// column and judged by the database's clock: so a loaded record's `expiry_date` is what was saved but for some 10
/// milliseconds. Two requests of one session that both save overwrite each other's data, as with every store of
/// tower-sessions: for counters and the like use [`AsyncSessions::update`](crate::AsyncSessions::update) on a
/// session of your own.
///
/// The data of a loaded session have two fields more, which are not stored. [`CREATED_FIELD`](crate::CREATED_FIELD) is
/// carried on by `cycle_id`, so that a login does not begin the [longest lifetime](crate::Builder::max_lifetime) anew,
/// where `Session::flush` and `Session::clear` before it do. By [`HANDLE_FIELD`](crate::HANDLE_FIELD) a `create` after
/// `cycle_id` is known: it must come from the task that called it, as it does in a handler and not in what a handler or
/// a layer spawns, within ten minutes, and nobody else may have ended the session meanwhile. Of two requests that both
/// call `cycle_id` at once none may therefore go on: begin anew at a login, by `flush`, where people click twice.
///
/// Between `cycle_id` and the end of its request the session is nowhere. A [`clear_owner`](crate::Sessions::clear_owner)
/// at that moment does not reach it, and a logout only on the same server: what both steps have in common, this process
/// knows alone. Where a password has been changed, end all others once more a little later. A login by `flush`, which
/// begins another session, has nothing of this.
///
/// tower-sessions saves, and so prolongs, only a session that a request has changed: `Expiry::OnInactivity` alone
/// logs a visitor out who only reads. `with_always_save` prolongs with each request, and so writes with each; the
/// application in `examples/web` changes a field of its own now and then.
///
/// A handler that ends its own session by [`clear_listed`](crate::Sessions::clear_listed) and then changes it meets a
/// session that is gone: compare the handles first, and `flush`.
///
/// A handler must give back a connection of the store's pool before it asks for the session: if every request holds one
/// connection and waits for a second, none gets it.
///
/// Do not cache this store (`CachingSessionStore`): a cache knows nothing of logouts elsewhere. Delete expired sessions
/// by a [`Sweeper`](crate::Sweeper), which survives a failure as `continuously_delete_expired` does not.
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
    adapter: Adapter<S>,
    on_error: Report,
}

/// What is told of each failure.
#[derive(Clone)]
struct Report(Arc<dyn Fn(&Error) + Send + Sync>);

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}

impl<S: WebStore> TowerSessionStore<S> {
    /// The store, without owners, and with [`OnMissing::Error`].
    pub fn new(store: S) -> Self {
        Self { adapter: Adapter::new(store), on_error: Report(Arc::new(|_| {})) }
    }

    /// The field of a session's data that names its owner, text or a number, which is kept as text: each `create` and
    /// `save` copies it to the owner, which is nobody where the field is missing.
    ///
    /// Then [`clear_owner`](crate::Sessions::clear_owner) and its like reach these sessions, and
    /// [`Builder::owner_limit`](crate::Builder::owner_limit) counts them: with
    /// [`EndOldest`](crate::OwnerLimit::EndOldest), since the handler is over when a login would be refused, and the
    /// visitor would see an internal error.
    pub fn owner_from(mut self, field: &str) -> Self {
        self.adapter.owner_field = Some(field.to_owned());
        self
    }

    /// What a `save` does whose session is gone. Defaults to [`OnMissing::Error`].
    pub fn on_missing(mut self, on_missing: OnMissing) -> Self {
        self.adapter.on_missing = on_missing;
        self
    }

    /// The key under which the session of an id is kept: to mark this device by its
    /// [`handle`](crate::Sessions::handle), or to keep this session while [all others of its
    /// owner](crate::Sessions::clear_owner) end.
    #[must_use]
    pub fn key(&self, id: &Id) -> SessionKey {
        key(id)
    }

    /// What is told of each failure, whose cause tower-sessions does not keep: its own errors are texts. With the
    /// feature `tracing` each is an event besides. Defaults to nothing.
    pub fn on_error(mut self, report: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.on_error = Report(Arc::new(report));
        self
    }

    fn owner(&self, record: &Record) -> Result<SavedOwner> {
        let owner = self.adapter.owner(|field| record.data.get(field).cloned());
        owner.map_err(|error| StoreError::Encode(error.to_string()))
    }

    /// As tower-sessions has it: a text.
    fn failed(&self, error: Error) -> StoreError {
        (self.on_error.0)(&error);
        StoreError::Backend(error.to_string())
    }
}

/// An id of tower-sessions that was drawn for a new session.
#[derive(Clone, Copy)]
struct DrawnId(Id);

impl Drawn for DrawnId {
    const OPERATION: &'static str = "create";

    fn draw() -> std::result::Result<Self, Error> {
        Ok(Self(Id::default()))
    }

    fn key(&self) -> SessionKey {
        key(&self.0)
    }
}

fn key(id: &Id) -> SessionKey {
    let digest = Sha256::new()
        .chain_update("diesel-session tower-sessions:")
        .chain_update(id.0.to_le_bytes())
        .finalize();
    let mut bytes = [0; SessionKey::LENGTH / 2];
    bytes.copy_from_slice(&digest[..SessionKey::LENGTH / 2]);
    SessionKey::of(bytes)
}

/// The data as they are kept: without what this adapter adds to them.
fn encode(record: &Record) -> Result<String> {
    let kept: HashMap<&String, &Value> = record
        .data
        .iter()
        .filter(|(field, _)| ![CREATED_FIELD, HANDLE_FIELD].contains(&field.as_str()))
        .collect();
    serde_json::to_string(&kept).map_err(|_| StoreError::Encode("a record is no JSON".to_owned()))
}

/// What is left of a record's period, by this machine's clock, which has set it.
fn left(record: &Record) -> TimeDelta {
    period((record.expiry_date - OffsetDateTime::now_utc()).whole_milliseconds())
}

#[async_trait]
impl<S: WebStore> SessionStore for TowerSessionStore<S> {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let draft = Draft {
            value: encode(record)?,
            owner: self.owner(record)?,
            expiry: left(record),
            handle: record.data.get(HANDLE_FIELD).and_then(handle),
            created: record.data.get(CREATED_FIELD).and_then(created),
        };
        // Never the record's own id: after `Session::flush` that is what the client's cookie said.
        let drawn: DrawnId = self.adapter.begin(draft).await.map_err(|error| self.failed(error))?;
        record.id = drawn.0;
        // Within this request it may be given another key again.
        let handle = self.adapter.store.handle(&drawn.key());
        record.data.insert(HANDLE_FIELD.to_owned(), handle.to_string().into());
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let (value, owner) = (encode(record)?, self.owner(record)?);
        let saved = self.adapter.save(self.key(&record.id), value, owner, left(record)).await;
        saved.map_err(|error| self.failed(error))
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let key = self.key(id);
        let loaded = self.adapter.load(&key).await.map_err(|error| self.failed(error))?;
        let Some((Session { handle, created, left, .. }, value)) = loaded else { return Ok(None) };
        // serde_json's own error quotes the value.
        let mut data: HashMap<String, Value> = serde_json::from_str(&value)
            .map_err(|_| StoreError::Decode("a session holds no data of tower-sessions".to_owned()))?;
        data.insert(CREATED_FIELD.to_owned(), created.timestamp_millis().into());
        data.insert(HANDLE_FIELD.to_owned(), handle.to_string().into());
        let left = time::Duration::milliseconds(left.num_milliseconds());
        let expiry_date = OffsetDateTime::now_utc().saturating_add(left);
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.adapter.delete(self.key(id)).await.map_err(|error| self.failed(error))
    }
}

#[async_trait]
impl<S: WebStore> ExpiredDeletion for TowerSessionStore<S> {
    /// Until none is left, batch by batch, as a [`Sweeper`](crate::Sweeper) does.
    async fn delete_expired(&self) -> Result<()> {
        loop {
            let started = Instant::now();
            if self.adapter.store.delete_expired(BATCH).await.map_err(|error| self.failed(error))? == 0 {
                return Ok(());
            }
            tokio::time::sleep(started.elapsed() * PAUSE).await;
        }
    }
}
