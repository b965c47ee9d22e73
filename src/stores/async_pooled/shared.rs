//! A connection that reads share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::AsyncPool;
use super::lent::Lent;
use super::pool::Pooled;
use crate::retry::Answers;

/// A connection that was taken out of the pool.
pub(super) struct Shared<P: AsyncPool> {
    pub(super) conn: Lent<P>,
    pub(super) since: Instant,
    /// How many reads wait for an answer.
    waiting: AtomicUsize,
    /// Since when the server owes an answer, in microseconds after `since`. `NOBODY` if it owes none.
    owing: AtomicU64,
    /// The connection is lost if the server owes an answer for longer than this.
    pub(super) patience: Duration,
    answers: Arc<Answers>,
    pub(super) is_lost: AtomicBool,
    /// Wakes the reads that wait when the connection is lost.
    pub(super) lost: Notify,
}

const NOBODY: u64 = u64::MAX;

impl<P: AsyncPool> Shared<P> {
    pub(super) fn new(conn: Lent<P>, pool: &Pooled<P>) -> Self {
        Self {
            conn,
            since: Instant::now(),
            waiting: AtomicUsize::new(0),
            owing: AtomicU64::new(NOBODY),
            patience: pool.call_timeout,
            answers: Arc::clone(&pool.answers),
            is_lost: AtomicBool::new(false),
            lost: Notify::new(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(NOBODY - 1)
    }

    /// Counts a waiting read until the guard is dropped. After that the server may still owe the answer.
    pub(super) fn asked(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // It fails if the server owes an answer already, which is the usual case.
        let _first = self.owing.compare_exchange(NOBODY, self.now(), Ordering::Relaxed, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    pub(super) fn has_answered(&self) {
        let others = self.waiting.load(Ordering::Relaxed) > 1;
        self.owing.store(if others { self.now() } else { NOBODY }, Ordering::Relaxed);
    }

    /// Returns whether the connection broke, has owed an answer for longer than a call may take, or leads to a server that
    /// was found silent. A connection that was young then may lead to another server.
    pub(super) fn is_lost(&self) -> bool {
        if self.has_owed_for(self.patience) || self.answers.were_missing_since(self.since + self.patience / 2)
        {
            self.lose();
        }
        self.is_lost.load(Ordering::SeqCst)
    }

    /// Returns whether the server has owed an answer for longer than this time. An answer to any read resets that time.
    pub(super) fn has_owed_for(&self, time: Duration) -> bool {
        let owing = self.owing.load(Ordering::Relaxed);
        owing != NOBODY && self.since.elapsed() > Duration::from_micros(owing) + time
    }

    /// Its reads try again on another connection.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::SeqCst);
        self.lost.notify_waiters();
    }
}

/// The guard of one read that waits for an answer.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<P: AsyncPool> Drop for Shared<P> {
    fn drop(&mut self) {
        if *self.is_lost.get_mut() {
            self.conn.abandon_early();
        }
    }
}
