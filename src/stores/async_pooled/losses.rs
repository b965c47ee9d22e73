//! Tells the reads that share connections when connections are lost.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The losses of a store's connections. Each read that waits looks whether its connection is lost.
#[derive(Default)]
pub(super) struct Losses {
    silent: Mutex<Option<Instant>>,
    news: Notify,
}

impl Losses {
    fn silent(&self) -> MutexGuard<'_, Option<Instant>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the server is silent, so the connections to it are lost.
    pub(super) fn server_is_silent(&self) {
        *self.silent() = Some(Instant::now());
        self.news.notify_waiters();
    }

    /// Returns whether the server was found silent at this time or later.
    pub(super) fn was_silent_since(&self, time: Instant) -> bool {
        self.silent().is_some_and(|silent| silent >= time)
    }

    /// Records that one connection is lost.
    pub(super) fn connection_is_lost(&self) {
        self.news.notify_waiters();
    }

    /// Waits for the next loss from now on, even if it is polled later.
    pub(super) fn next(&self) -> Notified<'_> {
        self.news.notified()
    }
}
