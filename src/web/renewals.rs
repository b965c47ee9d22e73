//! Which sessions go on under a new key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task;

use crate::owner::SessionHandle;

/// How long a request may take from its call for a new key to its end.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// The sessions that this process has just ended, each with the task that did.
///
/// To give a session a new key, both frameworks delete it and, when the request ends, save what they have as a new one,
/// without a word between the two. Whoever saves must be the one who has deleted: not a request that outlives a logout.
/// And nobody else must have wanted to delete it meanwhile: of two requests that renew at once none goes on, for what
/// the second did may have been a logout. A framework serves a request in one task, and never two in one at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Renewals(Arc<Mutex<Ended>>);

#[derive(Debug, Default)]
struct Ended {
    sessions: HashMap<SessionHandle, (Option<task::Id>, Instant)>,
    /// How many were left when the old ones were last thrown out.
    kept: usize,
}

impl Renewals {
    /// This task has deleted that session, which was there.
    pub(super) fn ended(&self, session: SessionHandle) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if ended.sessions.len() > 2 * ended.kept + 100 {
            ended.sessions.retain(|_, (_, since)| now.duration_since(*since) < PATIENCE);
            ended.kept = ended.sessions.len();
        }
        ended.sessions.insert(session, (task::try_id(), now));
    }

    /// Another task ends that session, and it is not there: whoever goes on with it at that moment may not, for this
    /// may be a logout.
    pub(super) fn was_gone(&self, session: SessionHandle) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.sessions.get(&session).is_some_and(|(task, _)| *task != task::try_id()) {
            ended.sessions.remove(&session);
        }
    }

    /// Whether that session is this task's to go on with, once.
    pub(super) fn goes_on(&self, session: SessionHandle) -> bool {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = |(task, since): &(Option<task::Id>, Instant)| {
            *task == task::try_id() && since.elapsed() < PATIENCE
        };
        ended.sessions.get(&session).is_some_and(is_ours) && ended.sessions.remove(&session).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::Renewals;
    use crate::key::{KeyStorage, SessionKey, StoredKey};
    use crate::owner::SessionHandle;

    fn handle() -> SessionHandle {
        SessionHandle::new(&StoredKey::new(&SessionKey::random().unwrap(), KeyStorage::Hashed))
    }

    #[test]
    fn a_session_goes_on_once() {
        let (renewals, session) = (Renewals::default(), handle());
        assert!(!renewals.goes_on(session));
        renewals.ended(session);
        assert!(renewals.goes_on(session));
        assert!(!renewals.goes_on(session));
    }

    #[test]
    fn a_session_that_another_task_ends_too_goes_on_nowhere() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (renewals, session) = (Renewals::default(), handle());
        renewals.ended(session);
        renewals.was_gone(session);
        let there = renewals.clone();
        runtime.block_on(async { tokio::spawn(async move { there.was_gone(session) }).await.unwrap() });
        assert!(!renewals.goes_on(session));
    }

    #[test]
    fn a_session_goes_on_where_it_was_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (renewals, session) = (Renewals::default(), handle());
        let there = renewals.clone();
        runtime.block_on(async { tokio::spawn(async move { there.ended(session) }).await.unwrap() });
        assert!(!renewals.goes_on(session));
        let there = renewals.clone();
        let elsewhere = async { tokio::spawn(async move { there.goes_on(session) }).await.unwrap() };
        assert!(!runtime.block_on(elsewhere));
    }
}
