//! The store over a pool of diesel-async's connections: it hands each call to the operations.

use std::fmt;
use std::sync::Arc;

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::Pool;

use super::AsyncOnConnection;
use crate::error::Error;
use crate::operations::{ExecuteAsync, Operation, Update, async_contracts};
use crate::options::{Builder, Options};
use crate::postgres::cancel::Cancel;
use crate::postgres::pooler::Poolers;
use crate::retry;

mod background;
mod builder;
mod leaving;
mod lent;
mod migrating;
mod pipelines;
mod pool;
mod pools;

pub use pools::AsyncPool;

use lent::Lent;
use pipelines::{Pipeline, Pipelines};
use pool::Pooled;

/// A store of sessions on PostgreSQL that does not block, over a pool of diesel-async's connections (feature
/// `diesel-async`).
///
/// Cheap to clone; clones share pool, options and default period. It implements [`AsyncNow`](crate::AsyncNow) and
/// [`AsyncSessions`](crate::AsyncSessions). [`on`](Self::on) gives the same operations on a connection that you hold, inside
/// your open transaction. It runs the same statements on the same table as [`DieselSession`](crate::DieselSession), so one
/// application can use both. It needs no libpq.
///
/// No connection is tested before it is used. If it broke in the pool, the store replaces it and repeats the call on
/// another one, as [`DieselSession`](crate::DieselSession) does. Every call ends in time ([`Error::ServerTimeout`]). You can
/// drop a future at any time: a call that has begun then goes on to its end, and gives its connection back.
///
/// # Poolers
///
/// Its client always prepares statements by name. Behind PgBouncer it works in session mode, and in transaction mode from
/// PgBouncer 1.21 on with `max_prepared_statements` above 0 (tested with 1.24). In transaction mode the store sends no
/// settings: give the role a `statement_timeout`.
///
/// An older PgBouncer in transaction mode is refused with [`Error::TransactionPooler`], by `connect`, or by the first call
/// if the store does not wait for the server. To find out, the store looks at its first connection to each host, and behind
/// a pooler at a second one beside it. An idle pooler is always found out. A busy one can escape by a small chance, because it
/// may serve both connections as a pooler in session mode does. The store does not look at pools of yours.
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
///     let key = sessions.generate(Some("cart=3"), Some(TimeDelta::minutes(30))).await?;
///     let key = sessions.rotate(&key).await?;
///     assert_eq!(sessions.get(&key).await?.0, "cart=3");
///     Ok(())
/// }
/// ```
pub struct AsyncDieselSession<P: AsyncPool = Pool<AsyncPgConnection>> {
    pool: Pooled<P>,
    /// For reads, if these share connections.
    pipelines: Option<Arc<Pipelines<P>>>,
    options: Arc<Options>,
}

/// The settings of an [`AsyncDieselSession`], by the pool that it gets connections from: deadpool's, if it makes its own.
pub type AsyncBuilder<P = Pool<AsyncPgConnection>> = Builder<AsyncPgConnection, P>;

impl AsyncDieselSession {
    /// Builds a store with a new pool and the default settings, as [`Builder::connect`] does.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }
}

impl<P: AsyncPool> AsyncDieselSession<P> {
    /// The settings of a new store: over a pool of its own ([`Builder::connect`]), or over yours ([`Builder::over`]).
    pub fn builder() -> AsyncBuilder<P> {
        AsyncBuilder::default()
    }

    /// A store over the application's own pool, with the default options; [`Builder::over`] takes others.
    ///
    /// The pool keeps its own settings; a test at each check-out, which costs a round trip for every operation, can be
    /// off. The session table is found as the pool's connections find tables.
    ///
    /// If a call is late, the store asks the server to cancel its statement, for two seconds. Then it closes the connection.
    /// It knows nothing of your pool's TLS, so it asks without TLS, as libpq does up to version 16. The request has no data
    /// of a session in it. It fails for a connection with `sslmode=require`, and then a server process that waits for a lost
    /// standby stays. So set [`Builder::cancel_with`] for a pool with TLS.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use diesel_async::AsyncPgConnection;
    /// use diesel_async::pooled_connection::{AsyncDieselConnectionManager, deadpool::Pool};
    /// use diesel_session::AsyncDieselSession;
    ///
    /// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new("host=db.example user=app dbname=shop");
    /// let pool = Pool::builder(manager).max_size(16).build()?;
    /// let sessions = AsyncDieselSession::new(pool);
    /// sessions.migrate().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(pool: P) -> Self {
        builder::over(pool, &Builder::default(), Options::default(), (Poolers::default(), Cancel::in_clear()))
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
        self.options.on_async(conn)
    }
}

async_contracts!(AsyncDieselSession<P>, P: AsyncPool);

impl<P: AsyncPool> AsyncDieselSession<P> {
    /// A connection that answers.
    pub(crate) async fn connection(&self) -> Result<Lent<P>, Error> {
        retry::connection(&self.pool).await
    }
}

impl<P: AsyncPool> ExecuteAsync for AsyncDieselSession<P> {
    type Connection = AsyncPgConnection;
    type Reader = Pipeline<P>;

    fn options(&self) -> &Options {
        &self.options
    }

    async fn run<O>(&self, operation: Result<O, Error>) -> Result<O::Output, Error>
    where
        O: Operation<AsyncPgConnection> + 'static,
    {
        retry::call(&self.pool, operation).await
    }

    /// On a shared connection, if there are some.
    async fn run_read<O, T>(&self, operation: Result<O, Error>) -> Result<T, Error>
    where
        O: Operation<AsyncPgConnection, Output = T> + Operation<Self::Reader, Output = T> + 'static,
        T: Send + 'static,
    {
        match &self.pipelines {
            Some(pipelines) => retry::call(&**pipelines, operation).await,
            None => retry::call(&self.pool, operation).await,
        }
    }

    async fn run_update<E, F>(&self, update: Result<Update, Error>, change: F) -> Result<String, E>
    where
        E: From<Error> + Send + 'static,
        F: FnMut(Option<String>) -> Result<String, E> + Send + 'static,
    {
        retry::call_update(&self.pool, &self.options, update, change).await
    }
}

impl<P: AsyncPool> Clone for AsyncDieselSession<P> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            pipelines: self.pipelines.clone(),
            options: Arc::clone(&self.options),
        }
    }
}

impl<P: AsyncPool> fmt::Debug for AsyncDieselSession<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncDieselSession")
            .field("pool", &self.pool)
            .field("is_pipelined", &self.pipelines.is_some())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
