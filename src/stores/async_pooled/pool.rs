//! The pool that lends connections.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::ops::DerefMut;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bb8::ErrorSink;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::PoolError;
use diesel_async::pooled_connection::bb8::{Pool, PooledConnection, RunError};
use tokio::runtime::Handle;
use tokio::time::{timeout, timeout_at};

use crate::error::{BoxedError, Error};
use crate::postgres::pooler::Poolers;
use crate::retry::{Job, Source, Verdict};

/// A pool of diesel-async's connections to PostgreSQL: bb8's, or another by these methods.
///
/// # Examples
///
/// ```
/// use diesel_async::AsyncPgConnection;
/// use diesel_async::pooled_connection::bb8::{Pool, PooledConnection, RunError};
/// use diesel_session::AsyncPool;
///
/// #[derive(Clone)]
/// struct Watched(Pool<AsyncPgConnection>);
///
/// impl AsyncPool for Watched {
///     type Connection = PooledConnection<'static, AsyncPgConnection>;
///     type Error = RunError;
///
///     async fn connection(&self) -> Result<Self::Connection, RunError> {
///         println!("{} connections", self.0.state().connections);
///         self.0.get_owned().await
///     }
///
///     fn size(&self) -> u32 {
///         AsyncPool::size(&self.0)
///     }
/// }
/// ```
pub trait AsyncPool: Clone + Send + Sync + 'static {
    /// A connection that goes back to the pool when it is dropped. The pool must not lend it again where a
    /// transaction is open on it or its transaction manager is in error, as diesel-async's own support of pools
    /// sees to: so a call that is dropped half way leaves nothing behind.
    type Connection: DerefMut<Target = AsyncPgConnection> + Send + Sync + 'static;

    /// Why there is none.
    type Error: StdError + Send + Sync + 'static;

    /// Lends a connection. It need not be tested: the store replaces one that turns out to be broken.
    fn connection(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// The most connections that the pool holds.
    fn size(&self) -> u32;

    /// How many connections it holds now. If so many take no writes, the store expects the next one to be new. Defaults
    /// to [`size`](Self::size).
    fn connections(&self) -> u32 {
        self.size()
    }
}

impl AsyncPool for Pool<AsyncPgConnection> {
    type Connection = PooledConnection<'static, AsyncPgConnection>;
    type Error = RunError;

    async fn connection(&self) -> Result<Self::Connection, RunError> {
        self.get_owned().await
    }

    fn size(&self) -> u32 {
        self.config().max_size
    }

    fn connections(&self) -> u32 {
        self.state().connections
    }
}

/// A pool as those who call see it.
#[derive(Clone)]
pub(super) struct Pooled<P> {
    pub(super) pool: P,
    pub(super) connection_timeout: Duration,
    pub(super) call_timeout: Duration,
    /// Of a pool of our own.
    pub(super) last_failure: LastFailure,
    /// Of a pool of our own.
    pub(super) poolers: Poolers,
    pub(super) verdict: Verdict,
}

impl<P: AsyncPool> Source for Pooled<P> {
    type Connection = AsyncPgConnection;
    type Lease = P::Connection;

    async fn connection(&self, within: Duration) -> Result<P::Connection, Error> {
        let started = Instant::now();
        let lent = async {
            match timeout(within.min(self.connection_timeout), self.pool.connection()).await {
                Ok(lent) => lent.map_err(BoxedError::from),
                Err(late) => Err(late.into()),
            }
        };
        let source = match self.poolers.unless_refused(lent).await? {
            Ok(conn) => return Ok(conn),
            Err(source) => source,
        };
        let source = self.last_failure.since(started).unwrap_or(source);
        Err(Error::PoolTimeout { waited: started.elapsed(), source })
    }

    async fn in_time<R: Send + 'static>(&self, deadline: Instant, job: Job<R>) -> Result<R, Error> {
        answered_by(deadline, ToItsEnd { job: Some(job), patience: self.call_timeout }).await
    }

    fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    fn size(&self) -> u32 {
        self.pool.size()
    }

    fn connections(&self) -> u32 {
        self.pool.connections()
    }

    fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

/// What is ready by the deadline; else it is dropped.
pub(super) async fn answered_by<T>(deadline: Instant, work: impl Future<Output = T>) -> Result<T, Error> {
    let started = Instant::now();
    timeout_at(deadline.into(), work)
        .await
        .map_err(|_late| Error::ServerTimeout { waited: started.elapsed() })
}

/// A job that goes on to its end, whoever waits for it: its connection goes back to the pool when the server has
/// answered, or when it breaks, and no other call meets what is still under way on it. After as long again as a call may
/// take the connection is given up.
struct ToItsEnd<R: Send + 'static> {
    job: Option<Job<R>>,
    patience: Duration,
}

impl<R: Send> Future for ToItsEnd<R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        // One that panics is not asked again.
        let Some(mut job) = self.job.take() else { return Poll::Pending };
        let done = job.as_mut().poll(context);
        if done.is_pending() {
            self.job = Some(job);
        }
        done
    }
}

impl<R: Send> Drop for ToItsEnd<R> {
    fn drop(&mut self) {
        if let (Some(job), Ok(runtime)) = (self.job.take(), Handle::try_current()) {
            let patience = self.patience;
            runtime.spawn(async move { timeout(patience, job).await.is_ok() });
        }
    }
}

/// Why a pool of our own last had no connection, and when: bb8 itself says no more than that it took too long.
#[derive(Clone, Debug, Default)]
pub(super) struct LastFailure(Arc<Mutex<Option<(Instant, String)>>>);

impl LastFailure {
    fn since(&self, time: Instant) -> Option<BoxedError> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|(failed, _)| *failed >= time).map(|(_, reason)| reason.into())
    }
}

impl ErrorSink<PoolError> for LastFailure {
    fn sink(&self, error: PoolError) {
        let failure = (Instant::now(), error.to_string());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    fn boxed_clone(&self) -> Box<dyn ErrorSink<PoolError>> {
        Box::new(self.clone())
    }
}

impl<P> fmt::Debug for Pooled<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooled").field("call_timeout", &self.call_timeout).finish_non_exhaustive()
    }
}
