//! A few connections that reads share. One connection carries several reads at once.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::deserialize::FromSqlRow;
use diesel::dsl::select;
use diesel::expression::{IntoSql as _, QueryMetadata};
use diesel::pg::Pg;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::result::DatabaseErrorKind::ClosedConnection;
use diesel::result::Error::DatabaseError;
use diesel::sql_types::Bool;
use diesel_async::AsyncConnectionCore as _;
use tokio::time::{sleep, timeout};

use super::AsyncPool;
use super::lent::Lent;
use super::pool::{LIFETIME, Pooled, answered_by};
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

/// A connection that was taken out of the pool.
struct Shared<P: AsyncPool> {
    conn: Lent<P>,
    since: Instant,
    /// How many reads wait for an answer.
    waiting: AtomicUsize,
    /// Since when the server owes an answer, in microseconds after `since`. `NOBODY` if it owes none.
    owing: AtomicU64,
    /// The connection is lost if the server owes an answer for longer than this.
    patience: Duration,
    is_lost: AtomicBool,
}

const NOBODY: u64 = u64::MAX;

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
    /// Leaves the connection to other reads, unless the server has owed an answer for half of a call's time.
    fn abandon(self) {
        if self.0.has_owed_for(self.0.patience / 2) {
            self.0.lose();
        }
    }
}

impl<P: AsyncPool> Slot<P> {
    fn current(&self) -> Option<Arc<Shared<P>>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|shared| shared.is_lost()) {
            *current = None;
        }
        current.clone()
    }

    /// Drops the connection if it is lost or at least this old. It is closed when its last read has ended.
    fn lose_if_older(&self, age: Duration) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = current.take_if(|shared| shared.is_lost() || shared.since.elapsed() >= age) {
            shared.lose();
        }
    }

    /// Takes a connection out of the pool.
    async fn fill(&self, pool: &Pooled<P>, within: Duration) -> Result<Arc<Shared<P>>, Error> {
        let shared = Arc::new(Shared::new(pool.connection(within).await?, pool.call_timeout));
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
        let answer = self.pool.answered(answered_by(deadline, job)).await;
        if answer.is_err() {
            // On an old connection the next read would wait for the same silent server. A younger one leads to another.
            let oldest = if self.pool.is_silent() { self.pool.call_timeout / 2 } else { Duration::MAX };
            self.slots.iter().for_each(|slot| slot.lose_if_older(oldest));
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

    fn verdict(&self) -> &Verdict {
        self.pool.verdict()
    }
}

impl<P: AsyncPool> Shared<P> {
    fn new(conn: Lent<P>, patience: Duration) -> Self {
        let (waiting, owing) = (AtomicUsize::new(0), AtomicU64::new(NOBODY));
        Self { conn, since: Instant::now(), waiting, owing, patience, is_lost: AtomicBool::new(false) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(NOBODY - 1)
    }

    /// Counts a waiting read until the guard is dropped. After that the server may still owe the answer.
    fn asked(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // It fails if the server owes an answer already, which is the usual case.
        let _first = self.owing.compare_exchange(NOBODY, self.now(), Ordering::Relaxed, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    fn has_answered(&self) {
        let others = self.waiting.load(Ordering::Relaxed) > 1;
        self.owing.store(if others { self.now() } else { NOBODY }, Ordering::Relaxed);
    }

    /// Returns whether the connection broke, or has owed an answer for longer than a call may take.
    fn is_lost(&self) -> bool {
        if self.has_owed_for(self.patience) {
            self.lose();
        }
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Returns whether the server has owed an answer for longer than this time. An answer to any read resets that time.
    fn has_owed_for(&self, time: Duration) -> bool {
        let owing = self.owing.load(Ordering::Relaxed);
        owing != NOBODY && self.since.elapsed() > Duration::from_micros(owing) + time
    }

    fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }
}

/// The guard of one read that waits for an answer.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<P: AsyncPool> Drop for Shared<P> {
    fn drop(&mut self) {
        if *self.is_lost.get_mut() {
            self.conn.abandon_early();
        }
    }
}

impl<P: AsyncPool> Pipeline<P> {
    /// Waits for the answer, and records that it came. An error from the server is an answer, too.
    async fn heard<T>(&self, answer: impl QueryFuture<T>) -> QueryResult<T> {
        let _until_then = self.0.asked();
        let answer = answer.await;
        if !matches!(answer, Err(DatabaseError(ClosedConnection, _))) {
            self.0.has_answered();
        }
        answer
    }
}

impl<P: AsyncPool> RunQuery for Pipeline<P> {
    fn execute<Q>(&mut self, query: Q) -> impl QueryFuture<usize>
    where
        Q: QueryFragment<Pg> + QueryId + Send,
    {
        let answer = (&mut &*self.0.conn).execute_returning_count(query);
        self.heard(answer)
    }

    fn row<R, Q>(&mut self, query: Q) -> impl QueryFuture<Option<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        let answer = row((&mut &*self.0.conn).load(query));
        self.heard(answer)
    }

    fn rows<R, Q>(&mut self, query: Q) -> impl QueryFuture<Vec<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        let answer = rows((&mut &*self.0.conn).load(query));
        self.heard(answer)
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
