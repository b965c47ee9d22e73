//! Builds an asynchronous store from its settings.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use diesel::ConnectionResult;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool::{Hook, HookError, Pool};
use futures_util::FutureExt as _;
use futures_util::future::try_join_all;
use tokio_postgres::CancelToken;

use super::background::Background;
use super::pipelines::Pipelines;
use super::pool::{LIFETIME, Pooled};
use super::{AsyncDieselSession, AsyncPool};
use crate::conninfo::ConnectOptions;
use crate::error::Error;
use crate::options::{Builder, Options, PoolSettings};
use crate::postgres::cancel::Cancel;
use crate::postgres::connector::Connector;
use crate::postgres::establish::manager;
use crate::postgres::pooler::Poolers;
use crate::retry::{Answers, Verdict};

impl<P: AsyncPool> Builder<AsyncPgConnection, P> {
    /// Reserves this many of the pool's connections for reads, which then share them: one connection carries several
    /// reads at once. The reads are [`get`](crate::AsyncNow::get), [`find`](crate::AsyncSessions::find), and the load
    /// of the stores for web frameworks. By default no connection is shared, and each read has one to itself.
    ///
    /// Shared reads are faster if more tasks read at once than the pool has connections. All other operations use the
    /// other connections of the pool. So `connections` must be at least one, and less than the size of the pool.
    /// Otherwise building the store fails with [`Error::Configuration`].
    pub fn pipelined(mut self, connections: u32) -> Self {
        self.asynchronous.pipelines = Some(connections);
        self
    }

    /// Sets the function that opens the pool's connections, and handles TLS. By default the store opens them itself,
    /// over TLS with the feature `rustls`: see [`ConnectOptions`](ConnectOptions#tls).
    ///
    /// The function gets an address that `tokio_postgres::Config` reads: `keyword='value'` pairs, for one host, with
    /// the password. The address contains `sslmode` (`disable`, `prefer` or `require`), and `channel_binding` if you
    /// set it. It contains no other parameter about TLS, so the function verifies certificates itself. The store
    /// refuses a connection string with another mode or with a parameter about certificates, because the function would
    /// not get it. For a Unix socket the mode is `disable`.
    ///
    /// The store then sets up the connection. If both together take longer than the connection timeout, it drops the
    /// connection. Behind a pooler the store calls the function twice for its first connection, and drops the second
    /// one.
    ///
    /// If the function uses TLS, also set [`cancel_with`](Self::cancel_with).
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
        self.asynchronous.establish = Some(Arc::new(move |address| establish(address).boxed()));
        self
    }

    /// Sets the function that asks a server to cancel the statement of a late call. By default the store sends that
    /// request as it connects: over TLS or unencrypted.
    ///
    /// Over your own pool, and with [`establish_with`](Self::establish_with), the store does not know your TLS
    /// settings, so it sends the request unencrypted. A server accepts that, even if it demands TLS from sessions. But
    /// the client does not send it for a connection with `sslmode=require`. So set this function for such connections.
    ///
    /// The store calls the function up to four times in two seconds, until the server answers. It ignores errors.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use diesel_async::AsyncPgConnection;
    /// use diesel_async::pooled_connection::deadpool::Pool;
    /// use diesel_session::{AsyncDieselSession, Error};
    /// use tokio_postgres::NoTls;
    ///
    /// fn over(pool: Pool<AsyncPgConnection>) -> Result<AsyncDieselSession, Error> {
    ///     AsyncDieselSession::builder()
    ///         // `MakeRustlsConnect` of tokio-postgres-rustls, for example, in the place of `NoTls`.
    ///         .cancel_with(|token| async move { token.cancel_query(NoTls).await })
    ///         .over(pool)
    /// }
    /// ```
    pub fn cancel_with<F>(mut self, request: impl Fn(CancelToken) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    {
        self.asynchronous.cancel = Some(Arc::new(move |token| request(token).boxed()));
        self
    }

    /// Builds a store with these options over the application's pool, as [`AsyncDieselSession::new`] does. A call may
    /// take as long as the connection timeout and the statement timeout together. The store does not set the server's
    /// `statement_timeout`: let the pool set it.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if a setting of the pool other than these two timeouts was changed here, or
    /// [`establish_with`](Self::establish_with) was called: this pool has its own settings. [`Error::PeriodOutOfRange`]
    /// or [`Error::Configuration`] for options that do not fit.
    pub fn over(self, pool: P) -> Result<AsyncDieselSession<P>, Error> {
        let mut ours = self.pool.clone();
        let defaults = PoolSettings::default();
        ours.connection.connection_timeout = defaults.connection.connection_timeout;
        ours.connection.statement_timeout = defaults.connection.statement_timeout;
        if ours != defaults || self.asynchronous.establish.is_some() {
            return Err(PoolSettings::are_the_pools_own());
        }
        self.pool.checked_size(false)?;
        self.check_pipelines(pool.size())?;
        let options = self.options()?;
        let cancel = self.asynchronous.cancel.clone().map_or_else(Cancel::in_clear, Cancel::by);
        Ok(over(pool, &self, options, (Poolers::default(), cancel)))
    }

    fn check_pipelines(&self, size: u32) -> Result<(), Error> {
        if self.asynchronous.pipelines.is_none_or(|shared| (1..size).contains(&shared)) {
            return Ok(());
        }
        let reason = "use at least one connection, and fewer than the pool holds: writes need the others";
        Err(Error::Configuration { setting: "pipelined", reason: reason.to_owned() })
    }
}

impl Builder<AsyncPgConnection, Pool<AsyncPgConnection>> {
    /// Builds a store with a new pool (deadpool) and waits for its first connections.
    ///
    /// `url` is a URL or a string of `keyword=value` pairs, as in PostgreSQL's manual ("Connection Strings"). It must
    /// name a host. The store ignores settings that only libpq reads: environment variables, and the files of
    /// passwords, services and certificates that `url` does not name. If `url` names several hosts, each has an equal
    /// share of the connection timeout, but at least two seconds.
    ///
    /// The store connects to a remote host over TLS (feature `rustls`), unless `url` says otherwise. Without
    /// `sslrootcert` it does not verify the host: use `sslmode=verify-full` with `sslrootcert`.
    /// [`ConnectOptions`](ConnectOptions#tls) describes each mode.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for settings that do not fit, a string that is not an address, or a file that cannot be
    /// used. The same for a remote host without the feature `rustls`, unless `url` says `sslmode=disable`.
    /// [`Error::PeriodOutOfRange`] for the default period and the longest lifetime. [`Error::PoolTimeout`] if no
    /// connection could be made within the connection timeout. [`Error::TransactionPooler`] for a pooler that loses
    /// prepared statements.
    pub async fn connect(self, url: &str) -> Result<AsyncDieselSession, Error> {
        self.connect_with(&url.parse()?).await
    }

    /// Builds a store with a new pool, and waits for its first connections. With
    /// [`startonly`](ConnectOptions::startonly) it does not wait. Then the first call of the store looks for a pooler.
    ///
    /// # Errors
    ///
    /// The errors of [`connect`](Self::connect).
    pub async fn connect_with(mut self, options: &ConnectOptions) -> Result<AsyncDieselSession, Error> {
        let connectors =
            Connector::for_each_host(options, &self.connection(), self.asynchronous.establish.take())?;
        self.connect_by(connectors, options.is_start_only()).await
    }

    /// Builds a store with a new pool. These connectors open its connections.
    pub(crate) async fn connect_by(
        self,
        connectors: Vec<Connector>,
        start_only: bool,
    ) -> Result<AsyncDieselSession, Error> {
        let (settings, poolers) = (self.connection(), Poolers::default());
        let hosts = u32::try_from(connectors.len()).unwrap_or(u32::MAX);
        let each = settings.time_of_each(connectors.len());
        let longest = each.saturating_mul(hosts).max(settings.connection_timeout);
        let theirs = self.asynchronous.cancel.clone();
        let cancel = theirs.map_or_else(|| Connector::cancel_of_all(&connectors), Cancel::by);
        let manager = manager(connectors, &settings, poolers.clone());
        self.build(manager, (!start_only).then_some(longest), (poolers, cancel)).await
    }

    /// Builds the store over a new pool. It waits for the first connections for `wait`, or not at all.
    async fn build(
        self,
        manager: AsyncDieselConnectionManager<AsyncPgConnection>,
        wait: Option<Duration>,
        of_connections: (Poolers, Cancel),
    ) -> Result<AsyncDieselSession, Error> {
        let options = self.options()?;
        let size = self.pool.checked_size(false)?;
        self.check_pipelines(size)?;
        let is_young = Hook::sync_fn(|_, metrics| {
            if metrics.age() < LIFETIME { Ok(()) } else { Err(HookError::message("its time is over")) }
        });
        let pool = Pool::builder(manager).max_size(size as usize).pre_recycle(is_young).build();
        let pool = pool.map_err(|source| Error::System { what: "pool", source: source.into() })?;
        let store = over(pool, &self, options, of_connections);
        if let Some(longest) = wait {
            let connections = (0..self.pool.min_idle).map(|_| store.pool.lend(longest));
            drop(try_join_all(connections).await?);
        }
        Ok(store)
    }
}

/// Builds the store over an existing pool.
pub(super) fn over<P: AsyncPool>(
    pool: P,
    settings: &Builder<AsyncPgConnection, P>,
    options: Options,
    (poolers, cancel): (Poolers, Cancel),
) -> AsyncDieselSession<P> {
    let connection = &settings.pool.connection;
    let call_timeout = connection.connection_timeout + connection.statement_timeout;
    let pool = Pooled {
        background: Background::of(&pool, call_timeout),
        pool,
        connection_timeout: connection.connection_timeout,
        call_timeout,
        cancel,
        poolers,
        verdict: Verdict::default(),
        answers: Arc::new(Answers::new()),
        losses: Arc::default(),
    };
    let pipelines =
        settings.asynchronous.pipelines.map(|shared| Arc::new(Pipelines::new(pool.clone(), shared)));
    AsyncDieselSession { pool, pipelines, options: Arc::new(options) }
}
