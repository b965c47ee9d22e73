//! Lends the pool's connections to calls.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout_at};

use super::AsyncPool;
use super::background::Background;
use super::lent::Lent;
use super::losses::Losses;
use crate::error::{BoxedError, Error};
use crate::postgres::cancel::Cancel;
use crate::postgres::pooler::Poolers;
use crate::retry::{Answers, Job, Source, Verdict};
use crate::stores::leaving::Leaving;

/// A pool, with the time limits and the state that calls share.
#[derive(Clone)]
pub(super) struct Pooled<P> {
    pub(super) pool: P,
    pub(super) connection_timeout: Duration,
    pub(super) call_timeout: Duration,
    pub(super) background: Background,
    pub(super) cancel: Cancel,
    /// Used only by a pool that the store built.
    pub(super) poolers: Poolers,
    pub(super) verdict: Verdict,
    pub(super) answers: Arc<Answers>,
    pub(super) losses: Arc<Losses>,
}

impl<P: AsyncPool> Pooled<P> {
    /// Lends a connection. If the pool fails, it asks again, because a server that is starting refuses connections for
    /// a moment.
    pub(super) async fn lend(&self, within: Duration) -> Result<Lent<P>, Error> {
        let started = Instant::now();
        let mut failed: Option<BoxedError> = None;
        let lent = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.background.connection(&self.pool).await {
                    Ok(conn) => return Ok(Lent::new(conn, &self.cancel)),
                    Err(source) => failed = Some(source.into()),
                }
                if let Some(refused) = self.poolers.refusal() {
                    return Err(refused);
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        let deadline = started + within;
        match timeout_at(deadline.into(), lent).await {
            Ok(lent) => lent,
            Err(late) => {
                let source = failed.unwrap_or_else(|| late.into());
                Err(Error::PoolTimeout { waited: started.elapsed(), source })
            }
        }
    }

    /// Returns the result of `work` if it is ready by the deadline. Otherwise it drops `work`.
    ///
    /// If no other call gets an answer either, the server is silent. Then it first discards the idle connections, because
    /// they lead to the same server, and no call may get one of them that tries again.
    pub(super) async fn answered_by<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let mut work = pin!(work);
        if let Ok(result) = timeout_at(deadline.into(), work.as_mut()).await {
            return Ok(result);
        }
        if self.answers.are_missing(self.call_timeout) {
            self.pool.discard_idle();
            self.losses.server_is_silent();
        }
        Err(Error::ServerTimeout { waited: started.elapsed() })
    }
}

impl<P: AsyncPool> Source for Pooled<P> {
    type Connection = AsyncPgConnection;
    type Lease = Lent<P>;

    async fn connection(&self, within: Duration) -> Result<Lent<P>, Error> {
        self.lend(within.min(self.connection_timeout)).await
    }

    async fn in_time<R: Send + 'static>(&self, deadline: Instant, job: Job<R>) -> Result<R, Error> {
        let answer = self.answered_by(deadline, to_its_end(job, deadline)).await?;
        self.answers.came();
        Ok(answer)
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

/// How long a pool that the store built keeps a connection, and how long reads share one before the pool gets it back.
/// It is the same as r2d2's limit, which the blocking store has.
pub(super) const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The pauses between two attempts to get a connection.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Lets the job go on after its caller has left, until the deadline. Its connection goes back to the pool when the
/// server has answered, or when the connection breaks. So no other call meets work that is still under way on it. At
/// the deadline it drops the job and abandons the connection.
fn to_its_end<R: Send + 'static>(job: Job<R>, deadline: Instant) -> impl Future<Output = R> {
    Leaving::new(job, move |job| {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { timeout_at(deadline.into(), job).await.is_ok() });
        }
    })
}

impl<P> fmt::Debug for Pooled<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooled").field("call_timeout", &self.call_timeout).finish_non_exhaustive()
    }
}
