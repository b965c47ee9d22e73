//! What the adapters have in common: the options that neither framework has.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::renewals::Renewals;
use super::{OnMissing, WebStore};
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{Delete, Drawn, Generate, Save, SavedOwner};
use crate::options::LONGEST_PERIOD;
use crate::session::{NewSession, Session, SessionHandle};

/// The field of a loaded session's data that says when it was created, in milliseconds since 1970 in UTC, so that a
/// session that gets another key does not begin anew. The stores for web frameworks add it to what they load; it is not
/// stored.
pub const CREATED_FIELD: &str = "diesel-session.created";

/// The field of a loaded session's data that says which session it is, by its [handle](crate::SessionHandle): to
/// mark this device among all [of its owner](crate::Sessions::sessions_of). The stores for web frameworks add it to
/// what they load; it is not stored.
pub const HANDLE_FIELD: &str = "diesel-session.handle";

/// A store, and what the adapter was told.
#[derive(Debug, Clone)]
pub(super) struct Adapter<S> {
    pub(super) store: S,
    pub(super) owner_field: Option<String>,
    pub(super) on_missing: OnMissing,
    renewals: Renewals,
}

/// A session that a framework saves for the first time under a key.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) value: String,
    pub(super) owner: SavedOwner,
    pub(super) expiry: TimeDelta,
    /// Of what was loaded, where it goes on.
    pub(super) handle: Option<SessionHandle>,
    pub(super) created: Option<DateTime<Utc>>,
}

impl<S: WebStore> Adapter<S> {
    pub(super) fn new(store: S) -> Self {
        Self { store, owner_field: None, on_missing: OnMissing::default(), renewals: Renewals::default() }
    }

    /// What a save does to the owner, where `field` is the value of that name in the data.
    pub(super) fn owner(&self, field: impl FnOnce(&str) -> Option<Value>) -> Result<SavedOwner, NoOwner> {
        let Some(name) = &self.owner_field else { return Ok(SavedOwner::Keep) };
        match field(name) {
            None | Some(Value::Null) => Ok(SavedOwner::Is(None)),
            Some(Value::String(owner)) => Ok(SavedOwner::Is(Some(owner))),
            Some(Value::Number(owner)) => Ok(SavedOwner::Is(Some(owner.to_string()))),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Err(NoOwner),
        }
    }

    /// A session that has a value, and the value.
    pub(super) async fn load(&self, key: &SessionKey) -> Result<Option<(Session, String)>, Error> {
        match self.store.find(key).await {
            Ok(mut session) => Ok(session.value.take().map(|value| (session, value))),
            Err(Error::NotFound) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Starts a session under a key that is drawn: never one that a client has sent.
    pub(super) async fn begin<D: Drawn>(&self, draft: Draft) -> Result<D, Error> {
        let Draft { value, owner, expiry, handle, created } = draft;
        if handle.is_some_and(|handle| !self.renewals.goes_on(handle)) {
            // The key of no session.
            return self.missing().and_then(|()| D::draw());
        }
        let owner = match owner {
            SavedOwner::Is(owner) => owner,
            SavedOwner::Keep => None,
        };
        let session = NewSession {
            value: Some(&value),
            owner: owner.as_deref(),
            period: Some(expiry),
            ..NewSession::new()
        };
        let generate = Generate::new(self.store.options(), &session);
        self.store.execute(generate.map(|generate| generate.since(created))).await
    }

    pub(super) async fn save(
        &self,
        key: SessionKey,
        value: String,
        owner: SavedOwner,
        expiry: TimeDelta,
    ) -> Result<(), Error> {
        let save = Save::new(self.store.options(), &key, value, owner, expiry);
        match self.store.execute(save).await {
            Err(Error::NotFound) => self.missing(),
            result => result,
        }
    }

    /// The result of a save whose session is gone.
    pub(super) fn missing(&self) -> Result<(), Error> {
        if self.on_missing == OnMissing::Discard { Ok(()) } else { Err(Error::NotFound) }
    }

    pub(super) async fn delete(&self, key: SessionKey) -> Result<(), Error> {
        let handle = self.store.handle(&key);
        self.renewals.begin(handle);
        let was_there = self.store.execute(Ok(Delete::new(self.store.options(), &key))).await?;
        self.renewals.end(handle, was_there);
        Ok(())
    }
}

pub(super) fn created(field: &Value) -> Option<DateTime<Utc>> {
    field.as_i64().and_then(DateTime::from_timestamp_millis)
}

pub(super) fn handle(field: &Value) -> Option<SessionHandle> {
    field.as_str().and_then(|text| text.parse().ok())
}

/// A framework's period, as long as a database can hold: 'never' is a very long time.
pub(super) fn period(milliseconds: i128) -> TimeDelta {
    let longest = i128::from(LONGEST_PERIOD.num_milliseconds());
    let milliseconds = i64::try_from(milliseconds.clamp(-longest, longest));
    milliseconds.map_or(LONGEST_PERIOD, TimeDelta::milliseconds)
}

#[derive(Debug, thiserror::Error)]
#[error("the field that names a session's owner is neither text nor a number")]
pub(super) struct NoOwner;
