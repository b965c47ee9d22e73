//! A connection that reads share.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use diesel::QueryResult;
use diesel::result::DatabaseErrorKind::ClosedConnection;
use diesel::result::Error::DatabaseError;
use futures_util::future::{Either, select};

use super::AsyncPool;
use super::debt::Debt;
use super::lent::Lent;
use super::pool::Pooled;
use crate::database::QueryFuture;

/// A connection that was taken out of the pool.
pub(super) struct Shared<P: AsyncPool> {
    pub(super) conn: Lent<P>,
    /// When it was taken out.
    pub(super) since: Instant,
    debt: Debt,
    pool: Pooled<P>,
    is_lost: AtomicBool,
}

impl<P: AsyncPool> Shared<P> {
    pub(super) fn new(conn: Lent<P>, pool: &Pooled<P>) -> Self {
        let (since, pool) = (Instant::now(), pool.clone());
        Self { conn, since, debt: Debt::default(), pool, is_lost: AtomicBool::new(false) }
    }

    /// Waits for the answer to a read, and records that it came. An error from the server is an answer, too. If the
    /// connection is lost, the error says that it is closed.
    pub(super) async fn heard<T>(&self, answer: impl QueryFuture<T>) -> QueryResult<T> {
        let _until_then = self.debt.asked();
        let mut answer = pin!(answer);
        loop {
            // Before the look at the connection: it hears of a loss that comes after that.
            let loss = pin!(self.pool.losses.next());
            if self.is_lost() {
                let message = "the server does not answer".to_owned();
                return Err(DatabaseError(ClosedConnection, Box::new(message)));
            }
            if let Either::Left((answer, _)) = select(answer.as_mut(), loss).await {
                if !matches!(answer, Err(DatabaseError(ClosedConnection, _))) {
                    self.debt.answered();
                    self.pool.answers.came();
                }
                return answer;
            }
        }
    }

    /// Returns whether the connection broke, has owed an answer for longer than a call may take, or leads to a server that
    /// was found silent. A connection that was taken out shortly before that may lead to another server.
    pub(super) fn is_lost(&self) -> bool {
        let call_timeout = self.pool.call_timeout;
        self.is_lost.load(Ordering::SeqCst)
            || self.debt.has_lasted(call_timeout)
            || self.pool.losses.was_silent_since(self.since + call_timeout / 2)
    }

    /// A read is dropped. Leaves the connection to other reads, unless the server has owed an answer for half of the time
    /// that a call may take.
    pub(super) fn abandoned(&self) {
        if self.debt.has_lasted(self.pool.call_timeout / 2) {
            self.lose();
        }
    }

    /// Its reads try again on another connection.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::SeqCst);
        self.pool.losses.connection_is_lost();
    }
}

impl<P: AsyncPool> Drop for Shared<P> {
    fn drop(&mut self) {
        if self.is_lost() {
            self.conn.abandon_early();
        }
    }
}
