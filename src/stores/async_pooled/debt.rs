//! How long a connection has owed its reads an answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The reads that wait for a connection, and the time for which they have waited without an answer to any of them. Time
/// without a waiting read does not count: the server may have answered reads that were dropped.
#[derive(Default)]
pub(super) struct Debt(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: usize,
    /// The start of the present wait; `None` if no read waits.
    since: Option<Instant>,
    /// The sum of the earlier waits since the last answer.
    before: Duration,
}

impl Debt {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a waiting read until the guard is dropped.
    pub(super) fn asked(&self) -> Waiting<'_> {
        let mut state = self.state();
        state.waiting += 1;
        state.since.get_or_insert_with(Instant::now);
        Waiting(self)
    }

    /// An answer to one read means that the server will answer the others, too.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        (state.since, state.before) = (Some(Instant::now()), Duration::ZERO);
    }

    pub(super) fn has_lasted(&self, time: Duration) -> bool {
        let state = self.state();
        state.before + state.since.map_or(Duration::ZERO, |since| since.elapsed()) >= time
    }
}

/// The guard of one read that waits for an answer.
pub(super) struct Waiting<'a>(&'a Debt);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting -= 1;
        if state.waiting == 0 {
            let waited = state.since.take().map_or(Duration::ZERO, |since| since.elapsed());
            state.before += waited;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const TIME: Duration = Duration::from_millis(10);
    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn the_waits_of_reads_without_an_answer_add_up() {
        let debt = Debt::default();
        for _ in 0..2 {
            assert!(!debt.has_lasted(2 * TIME));
            let _waiting = debt.asked();
            sleep(TIME);
        }
        assert!(debt.has_lasted(2 * TIME));
    }

    #[test]
    fn an_answer_to_one_read_ends_the_debt() {
        let debt = Debt::default();
        let others = (debt.asked(), debt.asked());
        sleep(TIME);
        debt.answered();
        drop(others);
        assert!(!debt.has_lasted(HOUR));
    }

    #[test]
    fn time_does_not_count_while_nobody_waits() {
        let debt = Debt::default();
        drop(debt.asked());
        let before = debt.state().before;
        sleep(TIME);
        assert_eq!(debt.state().before, before);
        assert!(debt.state().since.is_none());
    }
}
