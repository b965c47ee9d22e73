//! Finds out whether a server still answers any call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time of the last answer to any call of a store.
pub(crate) struct Answers {
    began: Instant,
    /// In microseconds since `began`.
    last: AtomicU64,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0) }
    }

    pub(crate) fn came(&self) {
        self.last.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// Whether no call has had an answer for half of the time that a call may take. The whole time would be too much to
    /// ask. When a call that ends without an answer began, others may still have had theirs.
    pub(crate) fn are_missing(&self, call_timeout: Duration) -> bool {
        let last = Duration::from_micros(self.last.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last) >= call_timeout / 2
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::Answers;

    #[test]
    fn a_call_that_began_before_the_last_answer_finds_a_server_silent_all_the_same() {
        const CALL: Duration = Duration::from_millis(100);
        // The call begins here.
        let answers = Answers::new();
        answers.came();
        assert!(!answers.are_missing(Duration::from_secs(3_600)));
        sleep(CALL);
        assert!(answers.are_missing(CALL));
        answers.came();
        assert!(!answers.are_missing(Duration::from_secs(3_600)));
    }
}
