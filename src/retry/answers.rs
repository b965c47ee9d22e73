//! Finds out whether a server still answers any call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When a store's calls last had an answer, and when its server was last found silent.
pub(crate) struct Answers {
    began: Instant,
    /// In microseconds since `began`.
    last: AtomicU64,
    /// When the server was last found silent, in microseconds since `began`. 0 if it never was.
    silent: AtomicU64,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0), silent: AtomicU64::new(0) }
    }

    pub(crate) fn came(&self) {
        self.last.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// Returns whether the server is silent: no call has had an answer for half of the time that a call may take. If so,
    /// it records the time.
    ///
    /// The whole time would be too much to ask. When a call that ends without an answer began, others may still have had
    /// theirs.
    pub(crate) fn find_silent(&self, call_timeout: Duration) -> bool {
        let last = Duration::from_micros(self.last.load(Ordering::Relaxed));
        let is_silent = self.began.elapsed().saturating_sub(last) >= call_timeout / 2;
        if is_silent {
            self.silent.fetch_max(self.now(), Ordering::Relaxed);
        }
        is_silent
    }

    /// Returns whether [`find_silent`](Self::find_silent) has been true at this time or later.
    #[cfg(any(test, feature = "diesel-async"))]
    pub(crate) fn was_silent_since(&self, time: Instant) -> bool {
        let silent = self.silent.load(Ordering::Relaxed);
        silent > 0 && self.began + Duration::from_micros(silent) >= time
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::Answers;

    #[test]
    fn a_call_that_began_before_the_last_answer_finds_a_server_silent_all_the_same() {
        const CALL: Duration = Duration::from_millis(100);
        // The call begins here.
        let answers = Answers::new();
        answers.came();
        assert!(!answers.find_silent(Duration::from_secs(3_600)));
        sleep(CALL);
        let before = Instant::now();
        assert!(!answers.was_silent_since(before));
        assert!(answers.find_silent(CALL));
        assert!(answers.was_silent_since(before) && !answers.was_silent_since(before + CALL));
        answers.came();
        assert!(!answers.find_silent(Duration::from_secs(3_600)));
    }
}
