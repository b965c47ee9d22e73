//! The pool as those who call see it.

use std::time::{Duration, Instant};

use diesel::r2d2::{ConnectionManager, PooledConnection};

use super::DieselSession;
use crate::backend::SessionConnection;
use crate::backend::blocking::outcome;
use crate::calls::{self, Job, Source, Verdict};
use crate::error::Error;
use crate::operations::Operation;
#[cfg(feature = "tokio")]
use crate::rules::Rules;

type Pooled<C> = PooledConnection<ConnectionManager<C>>;

impl<C: SessionConnection> DieselSession<C> {
    pub(crate) fn call<O>(&self, operation: Result<O, Error>) -> Result<O::Output, Error>
    where
        O: Operation<C> + 'static,
    {
        outcome(calls::call(self, operation))
    }

    /// A connection that answers.
    pub(crate) fn connection(&self) -> Result<Pooled<C>, Error> {
        outcome(calls::connection(self))
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
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
            Some(helpers) => helpers.run(deadline, move || outcome(job)),
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
