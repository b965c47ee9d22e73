//! A few connections that reads share. One connection carries several reads at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::deserialize::FromSqlRow;
use diesel::dsl::select;
use diesel::expression::{IntoSql as _, QueryMetadata};
use diesel::pg::Pg;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::sql_types::Bool;
use diesel_async::AsyncConnectionCore as _;
use tokio::time::{sleep, timeout};

use super::AsyncPool;
use super::pool::{LIFETIME, Pooled};
use super::shared::Shared;
use crate::database::{Liveness, QueryFuture};
use crate::error::{BoxedError, Error};
use crate::postgres::{RunQuery, row, rows};
use crate::retry::{Job, Lease, Source, Verdict};

/// The shared connections. The store takes each one from the pool at its first use, and again after it is lost.
pub(super) struct Pipelines<P: AsyncPool> {
    pool: Pooled<P>,
    slots: Box<[Arc<Slot<P>>]>,
    /// Counts reads: they use the slots in turn.
    turn: AtomicUsize,
}

struct Slot<P: AsyncPool> {
    current: Mutex<Option<Arc<Shared<P>>>>,
    /// Held by the task that takes a connection out of the pool.
    making: Arc<tokio::sync::Mutex<()>>,
    /// How long the slot keeps a connection. It differs between slots, so that no two replace theirs at once.
    lifetime: Duration,
}

/// A shared connection, for one read.
#[allow(missing_debug_implementations, reason = "nobody else has one")]
pub struct Pipeline<P: AsyncPool>(Arc<Shared<P>>);

impl<P: AsyncPool> Pipelines<P> {
    pub(super) fn new(pool: Pooled<P>, connections: u32) -> Self {
        let slot = |number| {
            let lifetime = LIFETIME + Duration::from_secs(60) * number;
            Arc::new(Slot { current: Mutex::new(None), making: Arc::default(), lifetime })
        };
        Self { pool, slots: (0..connections).map(slot).collect(), turn: AtomicUsize::new(0) }
    }

    /// Makes the slot's connection in a task. Other connections serve the reads in that time.
    fn make_beside(&self, slot: &Arc<Slot<P>>) {
        if let Ok(making) = Arc::clone(&slot.making).try_lock_owned() {
            let (slot, pool) = (Arc::clone(slot), self.pool.clone());
            tokio::spawn(async move {
                if slot.fill(&pool, pool.connection_timeout).await.is_err() {
                    // After the pause, the next read tries again.
                    sleep(PAUSE).await;
                }
                drop(making);
            });
        }
    }
}

/// The pause after a failed attempt.
const PAUSE: Duration = Duration::from_secs(1);

impl<P: AsyncPool> Lease for Box<Pipeline<P>> {
    fn abandon(self) {
        self.0.abandoned();
    }
}

impl<P: AsyncPool> Slot<P> {
    fn current(&self) -> Option<Arc<Shared<P>>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lost) = current.take_if(|shared| shared.is_lost()) {
            lost.lose();
        }
        current.clone()
    }

    /// Takes a connection out of the pool.
    async fn fill(&self, pool: &Pooled<P>, within: Duration) -> Result<Arc<Shared<P>>, Error> {
        let shared = Arc::new(Shared::new(pool.connection(within).await?, pool));
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&shared));
        Ok(shared)
    }
}

impl<P: AsyncPool> Source for Pipelines<P> {
    type Connection = Pipeline<P>;
    type Lease = Box<Self::Connection>;

    async fn connection(&self, within: Duration) -> Result<Self::Lease, Error> {
        let slot = &self.slots[self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len()];
        let old_or_none = match slot.current() {
            Some(shared) if shared.since.elapsed() <= slot.lifetime => return Ok(Box::new(Pipeline(shared))),
            other => other,
        };
        if let Some(shared) = old_or_none.or_else(|| self.slots.iter().find_map(|slot| slot.current())) {
            self.make_beside(slot);
            return Ok(Box::new(Pipeline(shared)));
        }
        let started = Instant::now();
        let late = |late| Error::PoolTimeout { waited: started.elapsed(), source: BoxedError::from(late) };
        let _making = timeout(within, slot.making.lock()).await.map_err(late)?;
        // Another task may have made it before this one got the lock.
        let shared = match slot.current() {
            Some(shared) => shared,
            None => slot.fill(&self.pool, within.saturating_sub(started.elapsed())).await?,
        };
        Ok(Box::new(Pipeline(shared)))
    }

    /// Drops a late read.
    async fn in_time<R: Send + 'static>(&self, deadline: Instant, job: Job<R>) -> Result<R, Error> {
        let answer = self.pool.answered_by(deadline, job).await;
        if answer.is_err() {
            // Those that are lost are closed when their last reads have ended.
            self.slots.iter().for_each(|slot| drop(slot.current()));
        }
        answer
    }

    fn call_timeout(&self) -> Duration {
        self.pool.call_timeout()
    }

    fn size(&self) -> u32 {
        self.pool.size()
    }

    fn connections(&self) -> u32 {
        self.pool.connections()
    }

    /// A shared connection is also lost if the server is silent. Then that is the reason to tell.
    fn without_another(&self, lost: diesel::result::Error, began: Instant) -> Error {
        if self.pool.losses.was_silent_since(began) {
            return Error::ServerTimeout { waited: began.elapsed() };
        }
        self.pool.without_another(lost, began)
    }

    fn verdict(&self) -> &Verdict {
        self.pool.verdict()
    }
}

impl<P: AsyncPool> RunQuery for Pipeline<P> {
    fn execute<Q>(&mut self, query: Q) -> impl QueryFuture<usize>
    where
        Q: QueryFragment<Pg> + QueryId + Send,
    {
        let answer = (&mut &*self.0.conn).execute_returning_count(query);
        self.0.heard(answer)
    }

    fn row<R, Q>(&mut self, query: Q) -> impl QueryFuture<Option<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        let answer = row((&mut &*self.0.conn).load(query));
        self.0.heard(answer)
    }

    fn rows<R, Q>(&mut self, query: Q) -> impl QueryFuture<Vec<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        let answer = rows((&mut &*self.0.conn).load(query));
        self.0.heard(answer)
    }
}

impl<P: AsyncPool> Liveness for Pipeline<P> {
    const REMOTE: bool = true;

    /// Reads need no transaction.
    fn is_in_transaction(&mut self) -> bool {
        false
    }

    async fn ping(&mut self) -> QueryResult<()> {
        self.execute(select(true.into_sql::<Bool>())).await.map(drop)
    }

    fn give_up(&mut self) {
        self.0.lose();
    }
}
