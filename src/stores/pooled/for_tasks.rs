//! Calls of asynchronous programs with a deadline. The caller's task keeps the deadline, while a helper waits for the
//! database. So a call takes one thread, and none of tokio's, which a silent server could use up.

use std::time::{Duration, Instant};

use diesel::r2d2::ManageConnection;

use super::DieselSession;
use super::bounded::Helpers;
use super::pools::Lent;
use crate::database::{SessionConnection, now_or_never};
use crate::error::Error;
use crate::operations::Operation;
use crate::retry::{self, Job, Source, Verdict};

/// A store for calls of tasks.
pub(super) struct ForTasks<C: SessionConnection, M: ManageConnection<Connection = C>> {
    store: DieselSession<C, M>,
    helpers: Helpers,
}

impl<C: SessionConnection, M: ManageConnection<Connection = C>> ForTasks<C, M> {
    pub(super) fn new(store: DieselSession<C, M>, helpers: Helpers) -> Self {
        Self { store, helpers }
    }

    /// Runs an operation.
    pub(super) async fn run<O>(self, operation: Result<O, Error>) -> Result<O::Output, Error>
    where
        O: Operation<C> + 'static,
    {
        retry::call(&self, operation).await
    }
}

impl<C: SessionConnection, M: ManageConnection<Connection = C>> Source for ForTasks<C, M> {
    type Connection = C;
    type Lease = Lent<M>;

    async fn connection(&self, within: Duration) -> Result<Lent<M>, Error> {
        let pool = self.store.pools.now();
        if let Some(conn) = pool.try_get() {
            return self.store.lent(conn, pool);
        }
        // The pool ends this wait itself.
        let (store, late) = (self.store.clone(), Instant::now() + within * 2);
        self.helpers.run_for_a_task(late, move || now_or_never(Source::connection(&store, within))).await?
    }

    async fn in_time<R: Send + 'static>(&self, deadline: Instant, job: Job<R>) -> Result<R, Error> {
        let answer = self.helpers.run_for_a_task(deadline, move || now_or_never(job)).await;
        self.store.note(&answer);
        answer
    }

    fn call_timeout(&self) -> Duration {
        self.store.call_timeout
    }

    fn size(&self) -> u32 {
        self.store.size()
    }

    fn connections(&self) -> u32 {
        self.store.connections()
    }

    fn verdict(&self) -> &Verdict {
        &self.store.verdict
    }
}
