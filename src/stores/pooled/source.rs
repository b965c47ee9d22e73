//! The pool as those who call see it.

use std::time::{Duration, Instant};

use diesel::r2d2::{ConnectionManager, PooledConnection};

use super::DieselSession;
use crate::database::{SessionConnection, now_or_never};
use crate::error::Error;
use crate::operations::{Execute, Operation, Update};
use crate::options::Options;
use crate::retry::{self, Job, Source, Verdict};

type Pooled<C> = PooledConnection<ConnectionManager<C>>;

impl<C: SessionConnection> DieselSession<C> {
    /// A connection that answers.
    pub(crate) fn connection(&self) -> Result<Pooled<C>, Error> {
        now_or_never(retry::connection(self))
    }
}

impl<C: SessionConnection> Execute for DieselSession<C> {
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

    fn run_update<E: From<Error>>(
        &self,
        update: Result<Update, Error>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        now_or_never(retry::call_update(self, &self.options, update, change))
    }
}

impl<C: SessionConnection> Source for DieselSession<C> {
    type Connection = C;
    type Lease = Pooled<C>;

    async fn connection(&self, within: Duration) -> Result<Pooled<C>, Error> {
        let started = Instant::now();
        let mut conn = self
            .pool
            .get_timeout(within.min(self.pool.connection_timeout()))
            .map_err(|source| Error::PoolTimeout { waited: started.elapsed(), source: source.into() })?;
        if self.is_theirs {
            conn.prepare_borrowed()?;
        }
        Ok(conn)
    }

    async fn in_time<R: Send + 'static>(&self, deadline: Instant, job: Job<R>) -> Result<R, Error> {
        match &self.helpers {
            Some(helpers) => helpers.run(deadline, move || now_or_never(job)),
            None => Ok(job.await),
        }
    }

    fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    fn size(&self) -> u32 {
        self.pool.max_size()
    }

    fn connections(&self) -> u32 {
        self.pool.state().connections
    }

    fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}
