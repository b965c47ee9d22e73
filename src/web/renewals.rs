//! Which sessions go on under a new key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task;

use crate::session::SessionHandle;

/// How long a request may take from its call for a new key to its end.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// The sessions that this process has just ended, each with the task that did.
///
/// To give a session a new key, both frameworks delete it and, when the request ends, save what they have as a new one,
/// without a word between the two. Whoever saves must be the one who has deleted: not a request that outlives a logout.
/// And no other task may have wanted to delete it meanwhile: of two requests that renew at once none goes on, for what
/// the second did may have been a logout. A framework serves a request in one task, and never two in one at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Renewals(Arc<Mutex<Endings>>);

#[derive(Debug, Default)]
struct Endings {
    sessions: HashMap<SessionHandle, Ending>,
    /// How many were left when the old ones were last thrown out.
    kept: usize,
}

#[derive(Debug)]
struct Ending {
    by: Option<task::Id>,
    since: Instant,
    /// Whether there was a session to end.
    was_there: bool,
    /// Whether another task ends it, too.
    is_contested: bool,
}

impl Renewals {
    /// This task is about to end that session.
    pub(super) fn begin(&self, session: SessionHandle) {
        let mut endings = self.endings();
        let now = Instant::now();
        if endings.sessions.len() > 2 * endings.kept + 100 {
            endings.sessions.retain(|_, ending| now.duration_since(ending.since) < PATIENCE);
            endings.kept = endings.sessions.len();
        }
        let by = task::try_id();
        let ending = Ending { by, since: now, was_there: false, is_contested: false };
        let first = endings.sessions.entry(session).or_insert(ending);
        if first.by != by {
            first.is_contested = true;
        }
    }

    /// It has, if the session was there.
    pub(super) fn end(&self, session: SessionHandle, was_there: bool) {
        let mut endings = self.endings();
        let Some(ending) = endings.sessions.get_mut(&session).filter(|ending| ending.by == task::try_id())
        else {
            return;
        };
        ending.was_there |= was_there;
        // What no other task knows of, and nobody can go on with.
        if !ending.was_there && !ending.is_contested {
            endings.sessions.remove(&session);
        }
    }

    /// Whether that session is this task's to go on with, once.
    pub(super) fn goes_on(&self, session: SessionHandle) -> bool {
        let mut endings = self.endings();
        let is_ours = |ending: &Ending| {
            let is_young = ending.since.elapsed() < PATIENCE;
            ending.by == task::try_id() && ending.was_there && !ending.is_contested && is_young
        };
        endings.sessions.get(&session).is_some_and(is_ours) && endings.sessions.remove(&session).is_some()
    }

    fn endings(&self) -> MutexGuard<'_, Endings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Runtime;

    use super::Renewals;
    use crate::key::{KeyStorage, SessionKey, StoredKey};
    use crate::session::SessionHandle;

    fn handle() -> SessionHandle {
        SessionHandle::new(&StoredKey::new(&SessionKey::random().unwrap(), KeyStorage::Hashed))
    }

    /// In the task of another request.
    fn elsewhere<T: Send + 'static>(runtime: &Runtime, work: impl FnOnce() -> T + Send + 'static) -> T {
        runtime.block_on(async { tokio::spawn(async { work() }).await.unwrap() })
    }

    #[test]
    fn a_session_goes_on_once_and_only_if_it_was_there() {
        let (renewals, session) = (Renewals::default(), handle());
        assert!(!renewals.goes_on(session));
        renewals.begin(session);
        assert!(!renewals.goes_on(session));
        renewals.end(session, false);
        assert!(!renewals.goes_on(session));
        renewals.begin(session);
        renewals.end(session, true);
        assert!(renewals.goes_on(session));
        assert!(!renewals.goes_on(session));
    }

    #[test]
    fn a_session_goes_on_where_it_was_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (renewals, session) = (Renewals::default(), handle());
        let there = renewals.clone();
        elsewhere(&runtime, move || {
            there.begin(session);
            there.end(session, true);
        });
        assert!(!renewals.goes_on(session));
    }

    /// Whatever comes first of both answers.
    #[test]
    fn a_session_that_two_tasks_end_goes_on_nowhere() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (first, second) in [(true, false), (false, true)] {
            let (renewals, session) = (Renewals::default(), handle());
            renewals.begin(session);
            let there = renewals.clone();
            elsewhere(&runtime, move || {
                there.begin(session);
                there.end(session, second);
            });
            renewals.end(session, first);
            assert!(!renewals.goes_on(session));
            let there = renewals.clone();
            assert!(!elsewhere(&runtime, move || there.goes_on(session)));
        }
    }
}
