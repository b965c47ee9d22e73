//! A few connections that reads share: those that are asked at once travel together.

use std::ops::DerefMut;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::deserialize::FromSqlRow;
use diesel::dsl::select;
use diesel::expression::{IntoSql as _, QueryMetadata};
use diesel::pg::Pg;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::sql_types::Bool;
use diesel_async::{AsyncConnectionCore as _, AsyncPgConnection};
use tokio::time::{timeout, timeout_at};

use super::pool::{AsyncPool, Pooled};
use crate::backend::postgres::{Run, row, rows};
use crate::backend::{Answer, Link};
use crate::calls::{Job, Source};
use crate::error::{BoxedError, Error};

/// How long a connection is shared, as bb8's own are lent: then the pool has it back, and may close it.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The shared connections, each made when it is first wanted, and again when it was lost.
pub(super) struct Pipelines<P: AsyncPool> {
    pool: Pooled<P>,
    slots: Arc<[Slot<P::Connection>]>,
    /// Whose turn it is.
    turn: AtomicUsize,
}

struct Slot<L: DerefMut<Target = AsyncPgConnection>> {
    current: Mutex<Option<Arc<Shared<L>>>>,
    /// Held by the one who takes a connection out of the pool.
    making: tokio::sync::Mutex<()>,
}

/// A connection out of the pool.
struct Shared<L: DerefMut<Target = AsyncPgConnection>> {
    conn: L,
    since: Instant,
    /// How many wait for an answer.
    waiting: AtomicUsize,
    /// When it last answered, in microseconds from its beginning.
    answered: AtomicU64,
    is_lost: AtomicBool,
}

/// A shared connection, for one read.
pub(crate) struct Pipeline<L: DerefMut<Target = AsyncPgConnection>>(Arc<Shared<L>>);

impl<P: AsyncPool> Pipelines<P> {
    pub(super) fn new(pool: Pooled<P>, connections: u32) -> Self {
        let slot = |_| Slot { current: Mutex::new(None), making: tokio::sync::Mutex::new(()) };
        Self { pool, slots: (0..connections).map(slot).collect(), turn: AtomicUsize::new(0) }
    }

    /// Makes the slot's connection while others serve.
    fn make_beside(&self, number: usize) {
        let (slots, pool) = (Arc::clone(&self.slots), self.pool.clone());
        tokio::spawn(async move {
            // Whoever comes to a slot without a connection tries again.
            let _made_or_not = slots[number].make(&pool, pool.connection_timeout).await;
        });
    }
}

impl<L: DerefMut<Target = AsyncPgConnection> + Send + Sync + 'static> Slot<L> {
    fn current(&self) -> Option<Arc<Shared<L>>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|shared| shared.is_over()) {
            *current = None;
        }
        current.clone()
    }

    /// The connection, out of the pool unless another has made it meanwhile.
    async fn make<P>(&self, pool: &Pooled<P>, within: Duration) -> Result<Arc<Shared<L>>, Error>
    where
        P: AsyncPool<Connection = L>,
    {
        let started = Instant::now();
        let late = |late| Error::PoolTimeout { waited: started.elapsed(), source: BoxedError::from(late) };
        let _making = timeout(within, self.making.lock()).await.map_err(late)?;
        if let Some(shared) = self.current() {
            return Ok(shared);
        }
        let conn = pool.connection(within.saturating_sub(started.elapsed())).await?;
        let shared = Arc::new(Shared::new(conn));
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&shared));
        Ok(shared)
    }
}

impl<P: AsyncPool> Source for Pipelines<P> {
    type Connection = Pipeline<P::Connection>;
    type Lease = Box<Self::Connection>;

    async fn connection(&self, within: Duration) -> Result<Self::Lease, Error> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let mut shared = self.slots[turn].current();
        if shared.is_none() {
            shared = self.slots.iter().find_map(Slot::current);
            if shared.is_some() && self.slots[turn].making.try_lock().is_ok() {
                self.make_beside(turn);
            }
        }
        let shared = match shared {
            Some(shared) => shared,
            None => self.slots[turn].make(&self.pool, within).await?,
        };
        Ok(Box::new(Pipeline(shared)))
    }

    /// A read that is late is left alone with its connection, if that has answered nobody since the call began.
    async fn in_time<R: Send + 'static>(&self, deadline: Instant, mut job: Job<R>) -> Result<R, Error> {
        let started = Instant::now();
        if let Ok(done) = timeout_at(deadline.into(), &mut job).await {
            return Ok(done);
        }
        let call_began = deadline.checked_sub(self.call_timeout()).unwrap_or(started);
        for shared in self.slots.iter().filter_map(Slot::current) {
            shared.lose_if_silent_since(call_began);
        }
        Err(Error::ServerTimeout { waited: started.elapsed() })
    }

    fn call_timeout(&self) -> Duration {
        self.pool.call_timeout()
    }

    fn size(&self) -> u32 {
        self.pool.size()
    }
}

impl<L: DerefMut<Target = AsyncPgConnection>> Shared<L> {
    fn new(conn: L) -> Self {
        let (waiting, answered) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { conn, since: Instant::now(), waiting, answered, is_lost: AtomicBool::new(false) }
    }

    fn is_over(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed) || self.since.elapsed() > LIFETIME
    }

    fn has_answered(&self) {
        let now = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.answered.store(now, Ordering::Relaxed);
    }

    /// Somebody waits for it, and it answered nobody since.
    fn lose_if_silent_since(&self, time: Instant) {
        let answered = self.since + Duration::from_micros(self.answered.load(Ordering::Relaxed));
        if self.waiting.load(Ordering::Relaxed) > 0 && answered < time {
            self.lose();
        }
    }

    fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }
}

/// Somebody who waits for an answer.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(others: &'a AtomicUsize) -> Self {
        others.fetch_add(1, Ordering::Relaxed);
        Self(others)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<L: DerefMut<Target = AsyncPgConnection>> Drop for Shared<L> {
    fn drop(&mut self) {
        if *self.is_lost.get_mut() {
            Link::give_up(&mut *self.conn);
        }
    }
}

impl<L: DerefMut<Target = AsyncPgConnection> + Send + Sync> Pipeline<L> {
    /// The answer, and a note that there was one.
    async fn heard<T>(&self, answer: impl Answer<T>) -> QueryResult<T> {
        let _until_then = Waiting::among(&self.0.waiting);
        let answer = answer.await?;
        self.0.has_answered();
        Ok(answer)
    }
}

impl<L: DerefMut<Target = AsyncPgConnection> + Send + Sync> Run for Pipeline<L> {
    fn execute<Q>(&mut self, query: Q) -> impl Answer<usize>
    where
        Q: QueryFragment<Pg> + QueryId + Send,
    {
        let answer = (&mut &*self.0.conn).execute_returning_count(query);
        self.heard(answer)
    }

    fn row<R, Q>(&mut self, query: Q) -> impl Answer<Option<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        let answer = row((&mut &*self.0.conn).load(query));
        self.heard(answer)
    }

    fn rows<R, Q>(&mut self, query: Q) -> impl Answer<Vec<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        let answer = rows((&mut &*self.0.conn).load(query));
        self.heard(answer)
    }
}

impl<L: DerefMut<Target = AsyncPgConnection> + Send + Sync> Link for Pipeline<L> {
    const REMOTE: bool = true;

    /// Reads need none.
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
