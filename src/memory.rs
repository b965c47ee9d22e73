//! Sessions in this process's memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chrono::TimeDelta;

use crate::error::Error;
use crate::key::SessionKey;
use crate::now::Now;
use crate::rules::{Period, Rules};

/// A store in this process's memory, gone with it: for tests, and for programs that need no more.
///
/// It keeps the laws and the limits of the database stores, by the process's monotonic clock. Clones share
/// their sessions. An expired session stays in memory until [`delete_expired`](Self::delete_expired).
///
/// # Examples
///
/// ```
/// use diesel_session::{MemorySession, Now};
///
/// let sessions = MemorySession::new();
/// let key = sessions.generate(None, None)?;
/// sessions.set(&key, "theme=dark".to_owned(), None)?;
/// assert_eq!(sessions.get(&key)?.0, "theme=dark");
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct MemorySession {
    shared: Arc<Shared>,
}

struct Shared {
    rules: Rules,
    started: Instant,
    sessions: Mutex<HashMap<SessionKey, Session>>,
}

struct Session {
    value: Option<String>,
    /// Microseconds after `started`; equal is dead.
    expire_date: i64,
}

impl MemorySession {
    /// An empty store with the default period of one week and the default value limit of 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Deletes at most `limit` expired sessions and returns how many.
    ///
    /// # Errors
    ///
    /// None so far; the signature is that of the other stores.
    pub fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        let mut sessions = self.shared.sessions();
        let now = self.shared.now();
        let dead: Vec<SessionKey> = sessions
            .iter()
            .filter(|(_, session)| session.expire_date <= now)
            .map(|(key, _)| *key)
            .take(limit as usize)
            .collect();
        for key in &dead {
            sessions.remove(key);
        }
        Ok(dead.len())
    }
}

impl Now for MemorySession {
    type Key = SessionKey;
    type Value = String;
    type Period = TimeDelta;
    type Error = Error;

    fn default_period(&self) -> TimeDelta {
        self.shared.rules.default_period()
    }

    fn set_default_period(&self, period: TimeDelta) -> Result<(), Error> {
        self.shared.rules.set_default_period(period)
    }

    fn generate(&self, value: Option<String>, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        value.as_deref().map_or(Ok(()), |value| self.shared.rules.check_value(value))?;
        let period = self.shared.rules.period(expiry)?;
        let session = Session { value, expire_date: self.shared.expire_date(period) };
        let mut sessions = self.shared.sessions();
        loop {
            let key = SessionKey::random()?;
            if let Entry::Vacant(place) = sessions.entry(key) {
                place.insert(session);
                return Ok(key);
            }
        }
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        self.shared.sessions().remove(key);
        Ok(())
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        let sessions = self.shared.sessions();
        let now = self.shared.now();
        let session = sessions.get(key).filter(|session| session.expire_date > now).ok_or(Error::NotFound)?;
        let value = session.value.clone().ok_or(Error::NotSet)?;
        Ok((value, TimeDelta::microseconds(session.expire_date - now)))
    }

    fn set(&self, key: &SessionKey, value: String, expiry: Option<TimeDelta>) -> Result<(), Error> {
        self.shared.rules.check_value(&value)?;
        let period = self.shared.rules.period(expiry)?;
        let mut sessions = self.shared.sessions();
        let now = self.shared.now();
        let session =
            sessions.get_mut(key).filter(|session| session.expire_date > now).ok_or(Error::NotFound)?;
        *session = Session { value: Some(value), expire_date: self.shared.expire_date(period) };
        Ok(())
    }
}

impl Shared {
    /// Microseconds since the store was made; an `i64` holds 292,000 years of them.
    fn now(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    fn expire_date(&self, period: Period) -> i64 {
        self.now().saturating_add(period.microseconds())
    }

    /// A panic elsewhere leaves the map whole: every change to it is one call.
    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionKey, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self { rules: Rules::default(), started: Instant::now(), sessions: Mutex::default() }
    }
}

impl fmt::Debug for MemorySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySession")
            .field("sessions", &self.shared.sessions().len())
            .finish_non_exhaustive()
    }
}
