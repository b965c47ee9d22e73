//! The store for tower-sessions, the session layer of axum and other tower services.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::time::Instant;
use time::OffsetDateTime;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::{Error as StoreError, ExpiredDeletion, Result, SessionStore};

use crate::error::Error;
use crate::key::SessionKey;
use crate::web::{LoadedSession, NewSession, WebStore};

/// Where a record says when its session began, in milliseconds since 1970, so that a session whose id is cycled
/// does not begin anew.
const CREATED: &str = "diesel-session.created";

/// How many ids are drawn before a database that takes none of them is given up.
const DRAWS: u32 = 3;

/// Sessions to one DELETE, and after it a pause of so many times what it took: as a [`Sweeper`](crate::Sweeper) does.
const BATCH: u32 = 200;
const PAUSE: u32 = 3;

/// What a `save` does whose session was deleted, or expired, since the request has loaded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Vanished {
    /// It fails, and the middleware answers with an internal error: nothing is lost in silence.
    #[default]
    Reject,
    /// It does nothing: a request that outlives a logout ends as if it had changed nothing.
    Ignore,
}

/// A [`SessionStore`] of tower-sessions (0.15) over this crate's table (feature `tower-sessions`).
///
/// What it adds to others: a session that was deleted is not brought back by a request that outlives the logout;
/// `create` draws its own id, and so takes neither another session's nor one that a client has chosen; the id is
/// hashed at rest; with [`owner_from`](Self::owner_from) all
/// sessions of a user can be listed and ended.
///
/// Only a record's data is stored, as JSON; its id is hashed under a name of its own, its expiry is kept in the
/// column and judged by the database's clock. Two requests of one session that both save overwrite each other's
/// data, as with every store of tower-sessions: for counters and the like use
/// [`AsyncSessions::update`](crate::AsyncSessions::update) on a session of your own.
///
/// With [`owner_from`](Self::owner_from) or a [longest lifetime](crate::Builder::max_lifetime) the data of a loaded
/// session have a field `diesel-session.created`, which carries the time of its creation through `cycle_id`.
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
/// let store = TowerSessionStore::new(Blocking::from(sessions)).owner_from("user_id");
/// // let layer = tower_sessions::SessionManagerLayer::new(store);
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct TowerSessionStore<S> {
    store: S,
    owner_field: Option<String>,
    vanished: Vanished,
}

impl<S: WebStore> TowerSessionStore<S> {
    /// The store, without owners, and with [`Vanished::Reject`].
    pub fn new(store: S) -> Self {
        Self { store, owner_field: None, vanished: Vanished::default() }
    }

    /// The field of a session's data that names its owner, text or a number: it is copied to the owner at each
    /// `create` and `save` that has it.
    ///
    /// Then [`clear_owner`](crate::Sessions::clear_owner) and its like reach these sessions, and
    /// [`Builder::owner_limit`](crate::Builder::owner_limit) counts them.
    pub fn owner_from(mut self, field: &str) -> Self {
        self.owner_field = Some(field.to_owned());
        self
    }

    /// What a `save` does whose session is gone. Defaults to [`Vanished::Reject`].
    pub fn vanished(mut self, vanished: Vanished) -> Self {
        self.vanished = vanished;
        self
    }

    /// The key under which a framework's id is kept: to clear, list or rotate nothing by hand, but to
    /// [`keep`](crate::Sessions::clear_owner) one session while all others of its owner end.
    #[must_use]
    pub fn key(id: &Id) -> SessionKey {
        let digest = Sha256::new()
            .chain_update("diesel-session tower-sessions:")
            .chain_update(id.0.to_le_bytes())
            .finalize();
        let mut bytes = [0; SessionKey::LENGTH / 2];
        bytes.copy_from_slice(&digest[..SessionKey::LENGTH / 2]);
        SessionKey::of(bytes)
    }

    fn owner(&self, data: &HashMap<String, Value>) -> Result<Option<String>> {
        let Some(field) = &self.owner_field else { return Ok(None) };
        match data.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(owner)) => Ok(Some(owner.clone())),
            Some(Value::Number(owner)) => Ok(Some(owner.to_string())),
            Some(_) => Err(StoreError::Encode(format!("{field}, the owner, is neither text nor a number"))),
        }
    }

    /// The data as they are kept: without what this adapter adds to them.
    fn encode(record: &Record) -> Result<String> {
        let kept: HashMap<&String, &Value> =
            record.data.iter().filter(|(field, _)| *field != CREATED).collect();
        serde_json::to_string(&kept).map_err(|_| StoreError::Encode("a record is no JSON".to_owned()))
    }
}

/// What is left of a record's period, by this machine's clock, which has set it.
fn left(record: &Record) -> Result<TimeDelta> {
    let left = (record.expiry_date - OffsetDateTime::now_utc()).whole_milliseconds();
    let left = i64::try_from(left).ok().and_then(TimeDelta::try_milliseconds);
    left.ok_or_else(|| StoreError::Encode("a record's expiry is out of range".to_owned()))
}

fn since(record: &Record) -> Option<DateTime<Utc>> {
    record.data.get(CREATED).and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis)
}

/// As tower-sessions has it: a text.
fn backend(error: Error) -> StoreError {
    StoreError::Backend(error.to_string())
}

#[async_trait]
impl<S: WebStore> SessionStore for TowerSessionStore<S> {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let value = Self::encode(record)?;
        let (owner, since, expiry) = (self.owner(&record.data)?, since(record), left(record)?);
        for _ in 0..DRAWS {
            // Never the record's own: after `Session::flush` that is what the client's cookie said.
            record.id = Id::default();
            let (key, value, owner) = (Self::key(&record.id), value.clone(), owner.clone());
            let session = NewSession { key, value, owner, since, expiry };
            if self.store.create(session).await.map_err(backend)? {
                return Ok(());
            }
        }
        Err(backend(Error::NotInserted { draws: DRAWS }))
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let (value, owner, expiry) = (Self::encode(record)?, self.owner(&record.data)?, left(record)?);
        match self.store.save(Self::key(&record.id), value, owner, expiry).await {
            Err(Error::NotFound) if self.vanished == Vanished::Ignore => Ok(()),
            result => result.map_err(backend),
        }
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let LoadedSession { value, created, left } = match self.store.load(Self::key(id)).await {
            Ok(session) => session,
            Err(Error::NotFound | Error::NotSet) => return Ok(None),
            Err(other) => return Err(backend(other)),
        };
        // serde_json's own error quotes the value.
        let mut data: HashMap<String, Value> = serde_json::from_str(&value)
            .map_err(|_| StoreError::Decode("a session holds no data of tower-sessions".to_owned()))?;
        if self.owner_field.is_some() || self.store.has_max_lifetime() {
            data.insert(CREATED.to_owned(), created.timestamp_millis().into());
        }
        let left = time::Duration::milliseconds(left.num_milliseconds());
        Ok(Some(Record { id: *id, data, expiry_date: OffsetDateTime::now_utc() + left }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.store.delete(Self::key(id)).await.map_err(backend)
    }
}

#[async_trait]
impl<S: WebStore> ExpiredDeletion for TowerSessionStore<S> {
    /// Until none is left, batch by batch.
    async fn delete_expired(&self) -> Result<()> {
        loop {
            let started = Instant::now();
            if self.store.delete_expired(BATCH).await.map_err(backend)? == 0 {
                return Ok(());
            }
            tokio::time::sleep(started.elapsed() * PAUSE).await;
        }
    }
}
