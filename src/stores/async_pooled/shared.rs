//! A connection that reads share.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::result::DatabaseErrorKind::ClosedConnection;
use diesel::result::Error::DatabaseError;
use futures_util::future::{Either, select};
use tokio::sync::Notify;

use super::AsyncPool;
use super::lent::Lent;
use super::pool::Pooled;
use crate::database::QueryFuture;

/// A connection that was taken out of the pool.
pub(super) struct Shared<P: AsyncPool> {
    pub(super) conn: Lent<P>,
    pub(super) since: Instant,
    /// How many reads wait for an answer.
    waiting: AtomicUsize,
    /// Since when the server owes an answer, in microseconds after `since`. `NOBODY` if it owes none.
    owing: AtomicU64,
    pool: Pooled<P>,
    is_lost: AtomicBool,
    /// Wakes the reads that wait when the connection is lost.
    lost: Notify,
}

const NOBODY: u64 = u64::MAX;

impl<P: AsyncPool> Shared<P> {
    pub(super) fn new(conn: Lent<P>, pool: &Pooled<P>) -> Self {
        Self {
            conn,
            since: Instant::now(),
            waiting: AtomicUsize::new(0),
            owing: AtomicU64::new(NOBODY),
            pool: pool.clone(),
            is_lost: AtomicBool::new(false),
            lost: Notify::new(),
        }
    }

    /// Waits for the answer to a read, and records that it came. An error from the server is an answer, too. If the
    /// connection is lost, the error says that it is closed.
    pub(super) async fn heard<T>(&self, answer: impl QueryFuture<T>) -> QueryResult<T> {
        let _until_then = self.asked();
        let lost = pin!(self.lost.notified());
        // A connection that was lost before wakes nobody.
        if self.is_lost.load(Ordering::SeqCst) {
            return Err(closed());
        }
        let Either::Left((answer, _)) = select(pin!(answer), lost).await else { return Err(closed()) };
        if !matches!(answer, Err(DatabaseError(ClosedConnection, _))) {
            self.has_answered();
        }
        answer
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(NOBODY - 1)
    }

    /// Counts a waiting read until the guard is dropped. After that the server may still owe the answer.
    fn asked(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // It fails if the server owes an answer already, which is the usual case.
        let _first = self.owing.compare_exchange(NOBODY, self.now(), Ordering::Relaxed, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    fn has_answered(&self) {
        let others = self.waiting.load(Ordering::Relaxed) > 1;
        self.owing.store(if others { self.now() } else { NOBODY }, Ordering::Relaxed);
    }

    /// Returns whether the connection broke, has owed an answer for longer than a call may take, or leads to a server that
    /// was found silent. A connection that was young then may lead to another server.
    pub(super) fn is_lost(&self) -> bool {
        let call_timeout = self.pool.call_timeout;
        self.lose_if_owing_for(call_timeout);
        if self.pool.answers.was_silent_since(self.since + call_timeout / 2) {
            self.lose();
        }
        self.is_lost.load(Ordering::SeqCst)
    }

    /// A read is dropped. Leaves the connection to other reads, unless the server has owed an answer for half of the time
    /// that a call may take.
    pub(super) fn abandoned(&self) {
        self.lose_if_owing_for(self.pool.call_timeout / 2);
    }

    /// Loses the connection if the server has owed an answer for longer than this time. An answer to any read resets that
    /// time. The pool learns of it first: otherwise a read that is woken could get an idle connection to the same server.
    fn lose_if_owing_for(&self, time: Duration) {
        let owing = self.owing.load(Ordering::Relaxed);
        if owing != NOBODY && self.since.elapsed() > Duration::from_micros(owing) + time {
            self.pool.no_answer_came();
            self.lose();
        }
    }

    /// Its reads try again on another connection.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::SeqCst);
        self.lost.notify_waiters();
    }
}

fn closed() -> diesel::result::Error {
    DatabaseError(ClosedConnection, Box::new("the server does not answer".to_owned()))
}

/// The guard of one read that waits for an answer.
struct Waiting<'a>(&'a AtomicUsize);

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
