//! Diesel's own connections, which block: each query has its result when the call returns.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use diesel::QueryResult;
use diesel::connection::{AnsiTransactionManager, TransactionManager as _};
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError, R2D2Connection};

use super::{Liveness, Queries, Transactions};
use crate::error::Error;
use crate::options::ConnectionSettings;

/// A connection that blocks, and how a pool makes one.
pub trait BlockingConnection:
    R2D2Connection<TransactionManager = AnsiTransactionManager> + Send + 'static
{
    /// Begins a transaction in which a row that was read can be written.
    const BEGIN: &'static str;

    /// Whether the database is at the far end of a connection that can be lost.
    const REMOTE: bool;

    /// The address to establish connections with, made from the caller's.
    fn address(url: &str, settings: &ConnectionSettings) -> Result<String, Error>;

    /// Whether the database is private to one connection and lives as long as that.
    fn is_private(address: &str) -> bool;

    /// Runs each time that the application's own pool lends a connection.
    fn prepare_borrowed(&mut self) -> QueryResult<()> {
        Ok(())
    }

    /// Runs once on each new connection of a pool of ours.
    fn set_up(settings: &ConnectionSettings) -> Box<dyn CustomizeConnection<Self, ConnectionError>>;
}

/// The result of work on a connection that blocks.
pub(crate) fn now_or_never<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("a connection that blocks has its result when the call returns"),
    }
}

impl<C: BlockingConnection + Queries> Transactions for C {
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

impl<C: BlockingConnection + Queries> Liveness for C {
    const REMOTE: bool = <C as BlockingConnection>::REMOTE;

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
