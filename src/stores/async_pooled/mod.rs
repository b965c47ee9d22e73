//! The store over a pool of diesel-async connections. It takes a connection and hands each call to the operations.

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
mod debt;
mod lent;
mod losses;
mod migrating;
mod pipelines;
mod pool;
mod pools;
mod shared;

pub use pools::AsyncPool;

use lent::Lent;
use pipelines::{Pipeline, Pipelines};
use pool::Pooled;

/// An asynchronous store of sessions on PostgreSQL, over a pool of diesel-async connections (feature `diesel-async`).
///
/// It is cheap to clone. Clones share the pool, the options and the default period. It implements
/// [`AsyncNow`](crate::AsyncNow) and [`AsyncSessions`](crate::AsyncSessions). [`on`](Self::on) gives the same
/// operations on a connection that you hold, inside your open transaction. It runs the same statements on the same
/// table as [`DieselSession`](crate::DieselSession), so one application can use both. It needs no libpq.
///
/// The store does not test a connection before it uses it. If a connection broke in the pool, the store replaces it and
/// retries the call on another one, as [`DieselSession`](crate::DieselSession) does. Every call ends in time
/// ([`Error::ServerTimeout`]). You can drop a future at any time: a call that has begun then goes on to its end, and
/// gives its connection back. Only a read on a shared connection ends at once, and leaves the connection to others.
///
/// # Poolers
///
/// The store always prepares statements by name. It works behind PgBouncer in session mode. It also works in
/// transaction mode from PgBouncer 1.21 on, with `max_prepared_statements` above 0 (tested with 1.24). In transaction
/// mode the store sends no settings: give the role a `statement_timeout`.
///
/// The store refuses an older PgBouncer in transaction mode with [`Error::TransactionPooler`]. `connect` returns that
/// error, or the first call if the store does not wait for the server. To recognise such a pooler, the store checks its
/// first connection to each host. If there is a pooler, it also checks a second connection. It always recognises an
/// idle pooler. There is a small chance that it does not recognise a busy one, because that may serve both connections
/// as in session mode. The store does not check your own pools.
///
/// # Panics
///
/// The futures panic outside of a tokio runtime with time and I/O enabled.
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
    /// The shared connections, if reads share connections.
    pipelines: Option<Arc<Pipelines<P>>>,
    options: Arc<Options>,
}

/// The settings of an [`AsyncDieselSession`]. `P` is the pool that it gets connections from. A pool that the store
/// builds is deadpool's.
pub type AsyncBuilder<P = Pool<AsyncPgConnection>> = Builder<AsyncPgConnection, P>;

impl AsyncDieselSession {
    /// Builds a store with a new pool and the default settings, as [`Builder::connect`] does.
    ///
    /// # Errors
    ///
    /// The errors of [`Builder::connect`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }
}

impl<P: AsyncPool> AsyncDieselSession<P> {
    /// Returns the settings of a new store: with a new pool ([`Builder::connect`]), or over yours ([`Builder::over`]).
    pub fn builder() -> AsyncBuilder<P> {
        AsyncBuilder::default()
    }

    /// Builds a store over the application's pool, with the default options. [`Builder::over`] takes other options.
    ///
    /// The pool keeps its own settings. You can turn off a test at each check-out, which costs one round trip per
    /// operation, because the store replaces broken connections. The connections look up the session table as they look
    /// up your own tables.
    ///
    /// If a call is late, the store asks the server for two seconds to cancel its statement. Then it closes the
    /// connection. It does not know your pool's TLS settings, so it sends the request unencrypted, as libpq does up to
    /// version 16. The request contains no data of a session. It fails for a connection with `sslmode=require`. Then a
    /// server process that waits for a lost standby stays. So set [`Builder::cancel_with`] for a pool with TLS.
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

    /// Returns the pool, for the application's own queries.
    ///
    /// Do not call this store while you hold one of the pool's connections: use [`on`](Self::on) with that connection.
    /// If every request holds one connection and waits for a second one, none gets it.
    #[must_use]
    pub fn pool(&self) -> &P {
        &self.pool.pool
    }

    /// Returns the same store on a connection that the caller holds, inside the caller's open transaction, if there is
    /// one: see [`AsyncOnConnection`].
    pub fn on<'a>(&'a self, conn: &'a mut AsyncPgConnection) -> AsyncOnConnection<'a> {
        self.options.on_async(conn)
    }
}

async_contracts!(AsyncDieselSession<P>, P: AsyncPool);

impl<P: AsyncPool> AsyncDieselSession<P> {
    /// Lends a connection that answers.
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

    /// Runs it on a shared connection if reads share connections.
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
