//! Sessions in this process's memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::Error;
use crate::key::SessionKey;
use crate::now::Now;
use crate::rules::{Expiry, Rules};

mod sessions;

/// A store in this process's memory, gone with it: for tests, and for programs that need no more.
///
/// It keeps the laws and the limits of the database stores, by the process's monotonic clock. Clones share
/// their sessions. An expired session stays in memory until it is [deleted](crate::Sessions::delete_expired).
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
    /// When that was, to show dates by.
    started_on: SystemTime,
    sessions: Mutex<Table>,
}

type Table = HashMap<SessionKey, Session>;

/// Times are microseconds after `started`.
struct Session {
    value: Option<String>,
    owner: Option<String>,
    created_on: i64,
    /// Equal is dead.
    expire_date: i64,
}

impl Session {
    fn is_owned_by(&self, owner: &str) -> bool {
        self.owner.as_deref() == Some(owner)
    }
}

impl MemorySession {
    /// An empty store with the default rules: a period of one week, values of at most 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store with other rules: from [`Builder::rules`](crate::Builder::rules).
    #[must_use]
    pub fn with_rules(rules: Rules) -> Self {
        Self { shared: Arc::new(Shared { rules, ..Shared::default() }) }
    }

    /// Starts a session, where the owner may have another.
    fn begin(
        &self,
        owner: Option<&str>,
        value: Option<String>,
        expiry: Option<TimeDelta>,
    ) -> Result<SessionKey, Error> {
        value.as_deref().map_or(Ok(()), |value| self.shared.rules.check_value(value))?;
        let period = self.shared.rules.first_period(expiry)?;
        let mut sessions = self.shared.sessions();
        if let Some(owner) = owner {
            self.shared.make_room(&mut sessions, owner, None)?;
        }
        let now = self.shared.now();
        let session = Session {
            value,
            owner: owner.map(str::to_owned),
            created_on: now,
            expire_date: now.saturating_add(period.microseconds()),
        };
        loop {
            let key = SessionKey::random()?;
            if let Entry::Vacant(place) = sessions.entry(key) {
                place.insert(session);
                return Ok(key);
            }
        }
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
        self.begin(None, value, expiry)
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        self.shared.sessions().remove(key);
        Ok(())
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        let mut sessions = self.shared.sessions();
        let now = self.shared.now();
        let session = live(&mut sessions, key, now)?;
        let value = session.value.clone().ok_or(Error::NotSet)?;
        Ok((value, TimeDelta::microseconds(session.expire_date - now)))
    }

    fn set(&self, key: &SessionKey, value: String, expiry: Option<TimeDelta>) -> Result<(), Error> {
        self.shared.rules.check_value(&value)?;
        let expiry = self.shared.rules.expiry(expiry)?;
        let mut sessions = self.shared.sessions();
        let now = self.shared.now();
        let session = live(&mut sessions, key, now)?;
        session.expire_date = expire_date(session, expiry, now);
        session.value = Some(value);
        Ok(())
    }
}

fn live<'a>(sessions: &'a mut Table, key: &SessionKey, now: i64) -> Result<&'a mut Session, Error> {
    sessions.get_mut(key).filter(|session| session.expire_date > now).ok_or(Error::NotFound)
}

/// The expiry of a session that is written to.
fn expire_date(session: &Session, expiry: Expiry, now: i64) -> i64 {
    let latest = session.created_on.saturating_add(expiry.lifetime.microseconds());
    now.saturating_add(expiry.period.microseconds()).min(latest)
}

impl Shared {
    /// Microseconds since the store was made; an `i64` holds 292,000 years of them.
    fn now(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    fn date(&self, microseconds: i64) -> DateTime<Utc> {
        DateTime::<Utc>::from(self.started_on) + TimeDelta::microseconds(microseconds)
    }

    /// An owner's live sessions but one: when each was generated, and its key, the oldest first.
    fn owned(&self, sessions: &Table, owner: &str, but: Option<&SessionKey>) -> Vec<(i64, SessionKey)> {
        let now = self.now();
        let mut theirs: Vec<(i64, SessionKey)> = sessions
            .iter()
            .filter(|(key, session)| {
                session.is_owned_by(owner) && session.expire_date > now && Some(*key) != but
            })
            .map(|(key, session)| (session.created_on, *key))
            .collect();
        theirs.sort_unstable_by_key(|(created_on, _)| *created_on);
        theirs
    }

    /// Makes room for one more session of the owner, besides the one under `but`.
    fn make_room(&self, sessions: &mut Table, owner: &str, but: Option<&SessionKey>) -> Result<(), Error> {
        let Some(limit) = self.rules.owner_limit() else { return Ok(()) };
        let live = self.owned(sessions, owner, but);
        let excess = limit.excess(i64::try_from(live.len()).unwrap_or(i64::MAX - 1))?;
        for (_, oldest) in live.iter().take(usize::try_from(excess).unwrap_or(usize::MAX)) {
            sessions.remove(oldest);
        }
        Ok(())
    }

    /// A panic elsewhere leaves the map whole: it changes after whatever may panic.
    fn sessions(&self) -> MutexGuard<'_, Table> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            started: Instant::now(),
            started_on: SystemTime::now(),
            sessions: Mutex::default(),
        }
    }
}

impl fmt::Debug for MemorySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySession")
            .field("sessions", &self.shared.sessions().len())
            .finish_non_exhaustive()
    }
}
