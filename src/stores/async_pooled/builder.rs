//! A store out of its settings.

use std::future::Future;
use std::sync::Arc;

use diesel::ConnectionResult;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, PoolError};
use futures_util::FutureExt as _;

use super::pipelines::Pipelines;
use super::pool::{LastFailure, Pooled};
use super::{AsyncDieselSession, AsyncPool};
use crate::conninfo::ConnectOptions;
use crate::error::Error;
use crate::options::Options;
use crate::options::{Builder, PoolSettings};
use crate::postgres::establish::{establish_in_clear, manager};
use crate::postgres::pooler::Poolers;
use crate::retry::Verdict;

impl Builder<AsyncPgConnection> {
    /// Reserves this many of the pool's connections for reads, which then share them: several reads travel together on
    /// one connection. The reads are [`get`](crate::AsyncNow::get), and the load of the stores for web frameworks. By
    /// default no connection is shared, and each read takes one alone.
    ///
    /// Shared reads are faster if more tasks read at once than the pool has connections. Writes use the other connections
    /// of the pool, so there must be some.
    pub fn pipelined(mut self, connections: u32) -> Self {
        self.pipelines = Some(connections);
        self
    }

    /// Sets the function that opens the pool's connections, TLS included. It gets an address that
    /// `tokio_postgres::Config` reads: `keyword='value'` pairs, for one host, with the password. The default is
    /// `AsyncPgConnection::establish`, which has no TLS. If the server does not insist on TLS, that connection is in clear.
    ///
    /// The function decides how to verify certificates. It gets `sslmode=require` for every stricter mode, and nothing of
    /// what the connection string says about certificates.
    ///
    /// The store then sets up the connection. If both together take longer than the connection timeout, it drops the
    /// connection.
    ///
    /// Behind a pooler the store calls the function twice for its first connection, and drops the second one.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use diesel::ConnectionError;
    /// use diesel_async::AsyncPgConnection;
    /// use diesel_session::AsyncDieselSession;
    ///
    /// # async fn serve() -> Result<(), diesel_session::Error> {
    /// let sessions = AsyncDieselSession::builder()
    ///     .establish_with(|address| async move {
    ///         // `MakeRustlsConnect` of tokio-postgres-rustls, for example, in the place of `NoTls`.
    ///         let (client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls)
    ///             .await
    ///             .map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
    ///         AsyncPgConnection::try_from_client_and_connection(client, connection).await
    ///     })
    ///     .connect("postgres://app@db.example/shop?sslmode=require")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn establish_with<F>(mut self, establish: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ConnectionResult<AsyncPgConnection>> + Send + 'static,
    {
        self.establish = Some(Arc::new(move |address| establish(address).boxed()));
        self
    }

    /// Builds a store with a new pool (bb8) and waits for its first connections.
    ///
    /// `url` is a URL or a string of `keyword=value` pairs, as in PostgreSQL's manual ("Connection Strings"). It must name
    /// a host. Settings that only libpq reads do not count: the environment's variables, and files of passwords, services
    /// and certificates. If it names several hosts, each has an equal share of the connection timeout, at least two
    /// seconds.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for settings that do not fit, or a string that is no address.
    /// [`Error::PeriodOutOfRange`] for the default period and the longest lifetime. [`Error::PoolTimeout`] if no
    /// connection comes within the connection timeout. [`Error::TransactionPooler`] for a pooler that loses prepared
    /// statements.
    pub async fn connect(self, url: &str) -> Result<AsyncDieselSession, Error> {
        self.connect_with(&url.parse()?).await
    }

    /// Builds a store with a new pool. It does not wait for a connection if the options say
    /// [`startonly`](ConnectOptions::startonly): then the first call looks for a pooler, instead of this one.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_with(mut self, options: &ConnectOptions) -> Result<AsyncDieselSession, Error> {
        let (establish, settings) = (self.establish.take(), self.connection());
        let addresses = options.asynchronous_addresses(&settings, establish.is_some())?;
        let (poolers, limit) = (Poolers::default(), settings.time_of_each(addresses.len()));
        let establish = establish.unwrap_or_else(establish_in_clear);
        let establish = poolers.looked_for_by(establish, &settings, limit);
        let manager = manager(addresses, &settings, establish);
        self.build(manager, options.is_start_only(), poolers).await
    }

    /// Builds a store with these options over the application's pool, as [`AsyncDieselSession::new`] does. A call ends
    /// after the connection timeout and the statement timeout together. The pool must set the statement timeout of the
    /// server.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if another setting of the pool was changed here, because this pool has its own settings.
    /// [`Error::PeriodOutOfRange`], [`Error::Configuration`] for options that do not fit.
    pub fn over<P: AsyncPool>(self, pool: P) -> Result<AsyncDieselSession<P>, Error> {
        let mut ours = self.pool.clone();
        let defaults = PoolSettings::default();
        ours.connection.connection_timeout = defaults.connection.connection_timeout;
        ours.connection.statement_timeout = defaults.connection.statement_timeout;
        if ours != defaults || self.establish.is_some() {
            return Err(PoolSettings::are_the_pools_own());
        }
        self.pool.checked_size(false)?;
        self.check_pipelines(pool.size())?;
        let options = self.options()?;
        Ok(over(pool, &self, options, LastFailure::default(), Poolers::default()))
    }

    async fn build(
        self,
        manager: AsyncDieselConnectionManager<AsyncPgConnection>,
        start_only: bool,
        poolers: Poolers,
    ) -> Result<AsyncDieselSession, Error> {
        let (options, settings) = (self.options()?, &self.pool.connection);
        let size = self.pool.checked_size(false)?;
        self.check_pipelines(size)?;
        let last_failure = LastFailure::default();
        let builder = Pool::builder()
            .max_size(size)
            .min_idle(self.pool.min_idle)
            .connection_timeout(settings.connection_timeout)
            .error_sink(Box::new(last_failure.clone()))
            .test_on_check_out(false);
        let pool = if start_only {
            builder.build_unchecked(manager)
        } else {
            let waited = settings.connection_timeout;
            let failed = |source: PoolError| Error::PoolTimeout { waited, source: source.into() };
            poolers.unless_refused(builder.build(manager)).await?.map_err(failed)?
        };
        Ok(over(pool, &self, options, last_failure, poolers))
    }

    fn check_pipelines(&self, size: u32) -> Result<(), Error> {
        if self.pipelines.is_none_or(|shared| (1..size).contains(&shared)) {
            return Ok(());
        }
        let reason = "at least one connection, and fewer than the pool holds: writes take the others";
        Err(Error::Configuration { setting: "pipelined", reason: reason.to_owned() })
    }
}

/// A store over a pool that exists.
pub(super) fn over<P: AsyncPool>(
    pool: P,
    settings: &Builder<AsyncPgConnection>,
    options: Options,
    last_failure: LastFailure,
    poolers: Poolers,
) -> AsyncDieselSession<P> {
    let connection = &settings.pool.connection;
    let pool = Pooled {
        pool,
        connection_timeout: connection.connection_timeout,
        call_timeout: connection.connection_timeout + connection.statement_timeout,
        last_failure,
        poolers,
        verdict: Verdict::default(),
    };
    let pipelines = settings.pipelines.map(|shared| Arc::new(Pipelines::new(pool.clone(), shared)));
    AsyncDieselSession { pool, pipelines, options: Arc::new(options) }
}
