//! Lends the pool's connections to calls.

#[cfg(feature = "tokio")]
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::r2d2::{ManageConnection, Pool, PooledConnection};

use super::DieselSession;
#[cfg(feature = "tokio")]
use super::for_tasks::ForTasks;
use super::pools::Lent;
#[cfg(feature = "tokio")]
use crate::database::on_a_thread;
use crate::database::{SessionConnection, now_or_never};
use crate::error::Error;
use crate::operations::{Execute, Operation, Update};
use crate::options::Options;
use crate::retry::{self, Job, Source, Verdict};

impl<C: SessionConnection, M: ManageConnection<Connection = C>> DieselSession<C, M> {
    /// Lends a connection that answers.
    pub(crate) fn connection(&self) -> Result<Lent<M>, Error> {
        now_or_never(retry::connection(self))
    }

    /// Sets up a connection that the pool gave.
    pub(super) fn lent(&self, mut conn: PooledConnection<M>, pool: Arc<Pool<M>>) -> Result<Lent<M>, Error> {
        if self.is_theirs {
            conn.prepare_borrowed()?;
        }
        Ok(Lent::new(conn, pool))
    }

    /// Notes whether a call got an answer in time. After half of a call's time without any answer, another pool
    /// replaces the present one.
    pub(super) fn note<R>(&self, answer: &Result<R, Error>) {
        match answer {
            Ok(_) => self.answers.came(),
            Err(Error::ServerTimeout { .. }) if self.answers.are_missing(self.call_timeout) => {
                self.pools.replace();
            }
            Err(_) => {}
        }
    }
}

impl<C: SessionConnection, M: ManageConnection<Connection = C>> Execute for DieselSession<C, M> {
    type Connection = C;
    type Reader = C;

    fn options(&self) -> &Options {
        &self.options
    }

    fn run<O>(&self, operation: Result<O, Error>) -> Result<O::Output, Error>
    where
        O: Operation<C> + 'static,
    {
        now_or_never(retry::call(self, operation))
    }

    #[cfg(feature = "tokio")]
    fn run_for_a_task<O>(
        &self,
        operation: Result<O, Error>,
    ) -> impl Future<Output = Result<O::Output, Error>> + Send + 'static
    where
        O: Operation<C> + 'static,
    {
        let store = self.clone();
        async move {
            match store.helpers.clone() {
                Some(helpers) => ForTasks::new(store, helpers).run(operation).await,
                None => on_a_thread(move || store.run(operation)).await,
            }
        }
    }

    fn run_update<E: From<Error>>(
        &self,
        update: Result<Update, Error>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        now_or_never(retry::call_update(self, &self.options, update, change))
    }
}

impl<C: SessionConnection, M: ManageConnection<Connection = C>> Source for DieselSession<C, M> {
    type Connection = C;
    type Lease = Lent<M>;

    async fn connection(&self, within: Duration) -> Result<Lent<M>, Error> {
        let started = Instant::now();
        let pool = self.pools.now();
        let conn = pool
            .get_timeout(within.min(pool.connection_timeout()))
            .map_err(|source| Error::PoolTimeout { waited: started.elapsed(), source: source.into() })?;
        self.lent(conn, pool)
    }

    async fn in_time<R: Send + 'static>(&self, deadline: Instant, job: Job<R>) -> Result<R, Error> {
        let Some(helpers) = &self.helpers else { return Ok(job.await) };
        let answer = helpers.run(deadline, move || now_or_never(job));
        self.note(&answer);
        answer
    }

    fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    fn size(&self) -> u32 {
        self.pools.now().max_size()
    }

    fn connections(&self) -> u32 {
        self.pools.now().state().connections
    }

    fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}
