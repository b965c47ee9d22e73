//! The store over a pool of diesel-async's connections: it hands each call to the operations.

use std::fmt;
use std::sync::Arc;

use chrono::TimeDelta;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::bb8::Pool;

use super::{AsyncNow, AsyncSessions};
use crate::builder::Builder;
use crate::calls;
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{
    Bind, Clear, ClearListed, ClearOwner, Count, DeleteExpired, Generate, Get, Operation, OwnerOf, Replace,
    Rotate, SessionsOf, Set, Touch, Update,
};
use crate::owner::{OwnedSession, SessionCount, SessionHandle};
use crate::rules::Rules;

mod builder;
mod migrating;
mod on_connection;
mod pipelines;
mod pool;

pub use on_connection::AsyncOnConnection;
pub use pool::AsyncPool;

use pipelines::{Pipeline, Pipelines};
use pool::{LastFailure, Pooled};

/// A store of sessions on PostgreSQL that does not block, over a pool of diesel-async's connections (feature
/// `diesel-async`).
///
/// Cheap to clone; clones share pool, rules and default period. It implements [`AsyncNow`] and [`AsyncSessions`];
/// [`on`](Self::on) gives the same operations on a connection that you hold, inside your open transaction. What it
/// does is what [`DieselSession`](crate::DieselSession) does, by the same statements on the same table: both may serve
/// one application. It needs no libpq.
///
/// No connection is tested before it is used: one that broke while it lay in the pool is replaced, and the call
/// repeated on another, as there. Every call ends in time ([`Error::ServerTimeout`]). A future that is dropped before it
/// is ready lets go of what it waits for: a call that began goes on to its end by itself, and gives its connection back
/// then.
///
/// Its client always prepares statements by name: behind PgBouncer use session mode (or transaction mode from 1.21 on
/// with `max_prepared_statements`, which is not tested here).
///
/// # Panics
///
/// Its futures panic outside of a tokio runtime with time and I/O enabled.
///
/// # Examples
///
/// ```no_run
/// use diesel_session::{AsyncDieselSession, AsyncNow, AsyncSessions, Error, TimeDelta};
///
/// async fn serve() -> Result<(), Error> {
///     let sessions = AsyncDieselSession::connect("postgres://app@db.example/shop").await?;
///     sessions.migrate().await?;
///
///     let key = sessions.generate(Some("cart=3".to_owned()), Some(TimeDelta::minutes(30))).await?;
///     let key = sessions.rotate(&key).await?;
///     assert_eq!(sessions.get(&key).await?.0, "cart=3");
///     Ok(())
/// }
/// ```
pub struct AsyncDieselSession<P: AsyncPool = Pool<AsyncPgConnection>> {
    pool: Pooled<P>,
    /// For reads, where they are shared.
    pipelines: Option<Arc<Pipelines<P>>>,
    rules: Arc<Rules>,
}

impl AsyncDieselSession {
    /// A store over a pool of its own, with every setting at its default: see [`Builder::connect`]. Without TLS.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }

    /// Settings for a store: rules, and a pool of its own.
    pub fn builder() -> Builder<AsyncPgConnection> {
        Builder::default()
    }
}

impl<P: AsyncPool> AsyncDieselSession<P> {
    /// A store over the application's own pool, with the default rules; [`Builder::over`] takes others.
    ///
    /// The pool keeps its own settings; a test at each check-out, which costs a round trip for every operation, can be
    /// off. The session table is found as the pool's connections find tables.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use diesel_async::AsyncPgConnection;
    /// use diesel_async::pooled_connection::{AsyncDieselConnectionManager, bb8::Pool};
    /// use diesel_session::AsyncDieselSession;
    ///
    /// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new("host=db.example user=app dbname=shop");
    /// let pool = Pool::builder().test_on_check_out(false).build(manager).await?;
    /// let sessions = AsyncDieselSession::new(pool);
    /// sessions.migrate().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(pool: P) -> Self {
        builder::over(pool, &Builder::default(), Rules::default(), LastFailure::default())
    }

    /// The pool, for the application's own queries.
    ///
    /// Do not call this store while you hold one of the pool's connections: use [`on`](Self::on) with that connection. If
    /// every request holds one connection and waits for a second, none gets it.
    #[must_use]
    pub fn pool(&self) -> &P {
        &self.pool.pool
    }

    /// The same store on a connection that the caller holds, inside the caller's open transaction, if any:
    /// see [`AsyncOnConnection`].
    pub fn on<'a>(&'a self, conn: &'a mut AsyncPgConnection) -> AsyncOnConnection<'a> {
        self.rules.on_async(conn)
    }
}

impl<P: AsyncPool> AsyncDieselSession<P> {
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) async fn call<O>(&self, operation: Result<O, Error>) -> Result<O::Output, Error>
    where
        O: Operation<AsyncPgConnection> + 'static,
    {
        calls::call(&self.pool, operation).await
    }

    /// A read, on a shared connection where there are some.
    pub(crate) async fn read<O, T>(&self, operation: O) -> Result<T, Error>
    where
        O: Operation<AsyncPgConnection, Output = T>
            + Operation<Pipeline<P::Connection>, Output = T>
            + 'static,
    {
        match &self.pipelines {
            Some(pipelines) => calls::call(&**pipelines, Ok(operation)).await,
            None => calls::call(&self.pool, Ok(operation)).await,
        }
    }

    /// A connection that answers.
    pub(crate) async fn connection(&self) -> Result<P::Connection, Error> {
        calls::connection(&self.pool).await
    }
}

impl<P: AsyncPool> AsyncNow for AsyncDieselSession<P> {
    type Key = SessionKey;
    type Value = String;
    type Period = TimeDelta;
    type Error = Error;

    fn default_period(&self) -> TimeDelta {
        self.rules.default_period()
    }

    fn set_default_period(&self, period: TimeDelta) -> Result<(), Error> {
        self.rules.set_default_period(period)
    }

    async fn generate(&self, value: Option<String>, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        self.call(Generate::new(&self.rules, None, value, None, expiry)).await
    }

    async fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        self.call(Ok(Clear::new(&self.rules, key))).await
    }

    async fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        self.read(Get::new(&self.rules, key)).await
    }

    async fn set(&self, key: &SessionKey, value: String, expiry: Option<TimeDelta>) -> Result<(), Error> {
        self.call(Set::new(&self.rules, key, value, expiry)).await
    }
}

impl<P: AsyncPool> AsyncSessions for AsyncDieselSession<P> {
    async fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        self.call(Rotate::new(&self.rules, key)).await
    }

    async fn touch(&self, key: &SessionKey, expiry: Option<TimeDelta>) -> Result<bool, Error> {
        self.call(Touch::new(&self.rules, key, expiry)).await
    }

    async fn update<E>(
        &self,
        key: &SessionKey,
        expiry: Option<TimeDelta>,
        change: impl FnMut(Option<String>) -> Result<String, E> + Send + 'static,
    ) -> Result<String, E>
    where
        E: From<Error> + Send + 'static,
    {
        let update = Update::new(&self.rules, key, expiry);
        calls::call_update(&self.pool, &self.rules, update, change).await
    }

    async fn replace(
        &self,
        key: &SessionKey,
        expected: Option<String>,
        new: String,
        expiry: Option<TimeDelta>,
    ) -> Result<(), Error> {
        self.call(Replace::new(&self.rules, key, expected, new, expiry)).await
    }

    async fn generate_for(
        &self,
        owner: &str,
        value: Option<String>,
        expiry: Option<TimeDelta>,
    ) -> Result<SessionKey, Error> {
        self.call(Generate::new(&self.rules, Some(owner), value, None, expiry)).await
    }

    async fn bind(&self, key: &SessionKey, owner: &str) -> Result<(), Error> {
        self.call(Bind::new(&self.rules, key, owner)).await
    }

    async fn owner_of(&self, key: &SessionKey) -> Result<Option<String>, Error> {
        self.call(Ok(OwnerOf::new(&self.rules, key))).await
    }

    async fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Error> {
        self.call(SessionsOf::new(owner, limit)).await
    }

    fn handle(&self, key: &SessionKey) -> SessionHandle {
        self.rules.handle(key)
    }

    async fn clear_owner(&self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error> {
        calls::clear_owner(&self.pool, ClearOwner::new(&self.rules, owner, keep)).await
    }

    async fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Error> {
        self.call(ClearListed::new(owner, handle)).await
    }

    async fn count(&self) -> Result<SessionCount, Error> {
        self.call(Ok(Count)).await
    }

    async fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        self.call(Ok(DeleteExpired { limit })).await
    }
}

impl<P: AsyncPool> Clone for AsyncDieselSession<P> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), pipelines: self.pipelines.clone(), rules: Arc::clone(&self.rules) }
    }
}

impl<P: AsyncPool> fmt::Debug for AsyncDieselSession<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncDieselSession")
            .field("pool", &self.pool)
            .field("is_pipelined", &self.pipelines.is_some())
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
