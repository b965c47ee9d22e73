//! Diesel's own connections, which block: whatever they are asked is answered when the call returns.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use diesel::QueryResult;
use diesel::connection::{AnsiTransactionManager, TransactionManager as _};
use diesel::r2d2::R2D2Connection;

use super::{Link, Queries, Transactions};
use crate::connect::Connect;

/// A connection that blocks.
pub trait Blocks: R2D2Connection<TransactionManager = AnsiTransactionManager> + Send + 'static {
    /// Begins a transaction in which a row that was read can be written.
    const BEGIN: &'static str;
}

/// The outcome of what runs on a connection that blocks.
pub(crate) fn outcome<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("a connection that blocks has answered when its call returns"),
    }
}

impl<C: Blocks + Connect + Queries> Transactions for C {
    async fn begin(&mut self) -> QueryResult<()> {
        if AnsiTransactionManager::transaction_manager_status_mut(self).transaction_depth()?.is_some() {
            AnsiTransactionManager::begin_transaction(self)
        } else {
            AnsiTransactionManager::begin_transaction_sql(self, Self::BEGIN)
        }
    }

    async fn commit(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::commit_transaction(self)
    }

    async fn roll_back(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::rollback_transaction(self)
    }
}

impl<C: Blocks + Connect + Queries> Link for C {
    const REMOTE: bool = <C as Connect>::REMOTE;

    fn is_in_transaction(&mut self) -> bool {
        let status = AnsiTransactionManager::transaction_manager_status_mut(self);
        !matches!(status.transaction_depth(), Ok(None))
    }

    async fn ping(&mut self) -> QueryResult<()> {
        R2D2Connection::ping(self)
    }

    fn give_up(&mut self) {
        AnsiTransactionManager::transaction_manager_status_mut(self).set_in_error();
    }
}
