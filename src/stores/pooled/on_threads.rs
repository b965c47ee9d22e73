//! Calls of asynchronous programs with a deadline. They wait for the database on tokio's blocking threads. The caller's
//! task keeps the deadline, so they need no helper.

use std::future::Future;
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use diesel::r2d2::ManageConnection;
use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use super::DieselSession;
use super::pools::Lent;
use crate::database::{SessionConnection, now_or_never, on_a_thread};
use crate::error::Error;
use crate::operations::Operation;
use crate::retry::{self, Job, Source, Verdict};
use crate::trace::in_this_span;

impl<C: SessionConnection, M: ManageConnection<Connection = C>> DieselSession<C, M> {
    /// Runs an operation. It begins and ends on the caller's task.
    pub(super) fn run_on_threads<O>(
        &self,
        operation: Result<O, Error>,
    ) -> impl Future<Output = Result<O::Output, Error>> + Send + 'static
    where
        O: Operation<C> + 'static,
    {
        let threads = OnThreads(self.clone());
        async move { retry::call(&threads, operation).await }
    }
}

/// A store whose callers are tasks.
struct OnThreads<C: SessionConnection, M: ManageConnection<Connection = C>>(DieselSession<C, M>);

impl<C: SessionConnection, M: ManageConnection<Connection = C>> Source for OnThreads<C, M> {
    type Connection = C;
    type Lease = Lent<M>;

    async fn connection(&self, within: Duration) -> Result<Lent<M>, Error> {
        let pool = self.0.pools.now();
        if let Some(conn) = pool.try_get() {
            return self.0.lent(conn, pool);
        }
        let store = self.0.clone();
        on_a_thread(move || now_or_never(Source::connection(&store, within))).await
    }

    async fn in_time<R: Send + 'static>(&self, deadline: Instant, job: Job<R>) -> Result<R, Error> {
        let started = Instant::now();
        let mut work = spawn_blocking(in_this_span(move || now_or_never(job)));
        let answer = match timeout_at(deadline.into(), &mut work).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panicked)) => resume_unwind(panicked.into_panic()),
            Err(_elapsed) => {
                // If no thread was free until now, the work never begins.
                work.abort();
                Err(Error::ServerTimeout { waited: started.elapsed() })
            }
        };
        self.0.note(&answer);
        answer
    }

    fn call_timeout(&self) -> Duration {
        self.0.call_timeout
    }

    fn size(&self) -> u32 {
        self.0.size()
    }

    fn connections(&self) -> u32 {
        self.0.connections()
    }

    fn verdict(&self) -> &Verdict {
        &self.0.verdict
    }
}
