//! The stores for web frameworks, called as the frameworks call them.

mod actix;
mod tower;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use diesel_session::{ActixSessionStore, Error, SessionKey, TimeDelta, TowerSessionStore, WebStore};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use self::actix::Actix;
use self::tower::Tower;
use crate::event::{Effect, Failure, WEEK};

/// The supported frameworks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framework {
    /// `TowerSessionStore`.
    TowerSessions,
    /// `ActixSessionStore`.
    ActixSession,
}

impl Framework {
    pub(crate) fn site<S: WebStore + Sync>(self, store: S, runtime: Arc<Runtime>) -> Box<dyn Site> {
        match self {
            Self::TowerSessions => Box::new(Tower { store: TowerSessionStore::new(store), runtime }),
            Self::ActixSession => Box::new(Actix { store: ActixSessionStore::new(store), runtime }),
        }
    }
}

/// The requests that visitors make. A cookie is the text that the browser keeps.
pub(crate) trait Site: Send + Sync {
    fn framework(&self) -> Framework;
    /// Returns the key of the session with this cookie.
    fn key(&self, cookie: &str) -> Result<SessionKey, Refusal>;
    /// Begins a session with a value, and returns its cookie.
    fn begin(&self, value: &str) -> Result<String, Refusal>;
    /// Loads the session, as each request does first.
    fn load(&self, cookie: &str) -> Result<Box<dyn Request + '_>, Refusal>;
    fn log_out(&self, cookie: &str) -> Result<(), Refusal>;
}

/// A request that has loaded its session. It ends with `save` or `log_in`.
pub(crate) trait Request: Send {
    /// Returns the value that was loaded.
    fn value(&self) -> Option<String>;
    /// Changes the value.
    fn save(self: Box<Self>, value: &str) -> Result<(), Refusal>;
    /// Renews the session with another value and returns its new cookie. `handler` is the time between the two calls.
    fn log_in(self: Box<Self>, value: &str, handler: Duration) -> Result<String, Refusal>;
}

/// Why a call of the framework failed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The session does not exist.
    Gone,
    Failed(Failure),
}

impl Refusal {
    fn of(error: &Error) -> Self {
        if matches!(error, Error::NotFound) { Self::Gone } else { Self::Failed(Failure::of(error)) }
    }

    /// Converts the error of a login. Its first call may have taken effect, even if the second one failed.
    pub(crate) fn of_a_login(self) -> Self {
        match self {
            Self::Failed(failure) => Self::Failed(Failure { effect: Effect::Unknown, ..failure }),
            Self::Gone => Self::Gone,
        }
    }

    /// An error that does not come from the store.
    fn unexpected(error: impl ToString) -> Self {
        let kind = format!("unexpected: {}", error.to_string());
        Self::Failed(Failure { kind, effect: Effect::Unknown })
    }
}

/// The name of the visitor's value in the session data.
const FIELD: &str = "visit";

/// How long a session lives after a save.
const LIFE: TimeDelta = TimeDelta::days(WEEK as i64);

/// Returns the visitor's value from the stored session data.
pub(crate) fn value_of(text: &str) -> Option<String> {
    let mut fields: HashMap<String, String> = serde_json::from_str(text).ok()?;
    let value = fields.remove(FIELD)?;
    // actix-session stores each value as JSON inside its JSON.
    Some(serde_json::from_str(&value).unwrap_or(value))
}
