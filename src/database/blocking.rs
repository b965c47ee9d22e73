//! Diesel's own connections. They block: each query has its result when the call returns.

use std::future::Future;
#[cfg(feature = "tokio")]
use std::panic::resume_unwind;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use diesel::QueryResult;
use diesel::connection::{AnsiTransactionManager, TransactionManager as _};
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError, R2D2Connection};

use super::{Liveness, Queries, Transactions};
use crate::error::Error;
use crate::options::ConnectionSettings;
#[cfg(feature = "tokio")]
use crate::trace::in_this_span;

/// A connection that blocks, with what a pool needs to make one.
pub trait BlockingConnection:
    R2D2Connection<TransactionManager = AnsiTransactionManager> + Send + 'static
{
    /// The SQL that begins a transaction which can write a row that it has read.
    const BEGIN: &'static str;

    /// Whether the database is another process, so that a connection to it can be lost.
    const REMOTE: bool;

    /// Returns the address for new connections, made from the caller's address.
    fn address(url: &str, settings: &ConnectionSettings) -> Result<String, Error>;

    /// Whether the database is private to one connection and lives only as long as the connection.
    fn is_private(address: &str) -> bool;

    /// Prepares the connection each time that the application's own pool lends it.
    fn prepare_borrowed(&mut self) -> QueryResult<()> {
        Ok(())
    }

    /// Returns the customizer that sets up each new connection to this address, in a pool that the store built.
    fn set_up(
        address: &str,
        settings: &ConnectionSettings,
    ) -> Box<dyn CustomizeConnection<Self, ConnectionError>>;
}

/// A connection to a server, which can stop answering.
pub trait Remote: BlockingConnection {}

/// Returns the result of work on a connection that blocks.
pub(crate) fn now_or_never<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("a connection that blocks has its result when the call returns"),
    }
}

/// Runs work that blocks on one of tokio's blocking threads.
#[cfg(feature = "tokio")]
pub(crate) async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(in_this_span(work)).await {
        Ok(done) => done,
        // Or the work never began, because the runtime shuts down. Then `into_panic` panics.
        Err(panicked) => resume_unwind(panicked.into_panic()),
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
