//! The store over a connection pool. It takes a connection and hands each call to the operations.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use diesel::r2d2::{ConnectionManager, ManageConnection, Pool};

use super::OnConnection;
use crate::database::SessionConnection;
use crate::error::Error;
use crate::operations::contracts;
use crate::options::{Builder, Options};
use crate::retry::{Answers, Verdict};

mod bounded;
mod build;
#[cfg(feature = "tokio")]
mod for_tasks;
mod migrating;
mod pools;
#[cfg(feature = "postgres")]
mod postgres;
mod source;

use bounded::Helpers;
use pools::Pools;

/// A store of sessions in a database, over an r2d2 pool of Diesel connections.
///
/// It is cheap to clone. Clones share the pool, the options and the default period. It implements [`Now`](crate::Now)
/// and [`Sessions`](crate::Sessions). [`on`] gives the same operations on a connection that you hold, inside your open
/// transaction.
///
/// If a connection broke in the pool, the store replaces it and retries the call on another one. So callers get no
/// errors from a restart of the server that is over. A retried `set` may take effect after another writer's `set`.
///
/// The store does not retry two calls, because a retry could apply them twice: a `replace`, and an `update` that got no
/// answer to its write. They fail with [`Error::OutcomeUnknown`].
///
/// The store also replaces a connection if its server accepts no writes. If all connections are like that, the call
/// fails with [`Error::ReadOnly`]. The store never replaces a connection with an open transaction, such as a test's.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use diesel::sqlite::SqliteConnection;
/// use diesel_session::{DieselSession, Now};
///
/// let sessions = DieselSession::<SqliteConnection>::connect(":memory:")?;
/// sessions.migrate()?;
///
/// let key = sessions.generate(Some("cart=3"), None)?;
/// assert_eq!(sessions.get(&key)?.0, "cart=3");
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
///
/// [`on`]: DieselSession::on
pub struct DieselSession<C: SessionConnection, M: ManageConnection<Connection = C> = ConnectionManager<C>> {
    pools: Arc<Pools<M>>,
    options: Arc<Options>,
    /// How long one call may take, with all its attempts.
    call_timeout: Duration,
    helpers: Option<Helpers>,
    /// Whether the pool is the application's. Then the application sets up the connections.
    is_theirs: bool,
    verdict: Verdict,
    answers: Arc<Answers>,
}

contracts!(DieselSession<C, M>, C: SessionConnection, M: ManageConnection<Connection = C>);

impl<C: SessionConnection> DieselSession<C> {
    /// Builds a store with a new pool and the default settings: see [`Builder::connect`].
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a string that is not an address. [`Error::PoolTimeout`] if no connection could be
    /// made within 5 seconds.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # #[cfg(feature = "postgres")] {
    /// use diesel::pg::PgConnection;
    /// use diesel_session::DieselSession;
    ///
    /// let sessions = DieselSession::<PgConnection>::connect("postgres://app@db.example/shop")?;
    /// sessions.migrate()?;
    /// # }
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    pub fn connect(url: &str) -> Result<Self, Error> {
        Self::builder().connect(url)
    }
}

impl<C: SessionConnection, M: ManageConnection<Connection = C>> DieselSession<C, M> {
    /// Builds a store over the application's pool, with the default options. [`Builder::over`] takes other options.
    ///
    /// The pool keeps its own settings, such as its timeouts. You can turn off `test_on_check_out`, which costs one
    /// round trip per operation, because the store replaces broken connections. Only the pool's settings limit a call
    /// to a server that does not answer. The connections look up the session table as they look up your own tables.
    ///
    /// On SQLite, a connection without a `busy_timeout` fails at once if another one writes. So the store sets 5
    /// seconds on connections that have none.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use diesel::r2d2::{ConnectionManager, Pool};
    /// use diesel::sqlite::SqliteConnection;
    /// use diesel_session::DieselSession;
    ///
    /// # let file = std::env::temp_dir().join(format!("diesel-session-{}.db", std::process::id()));
    /// # let file = file.to_str().unwrap();
    /// use diesel::connection::SimpleConnection;
    /// use diesel::r2d2::{CustomizeConnection, Error as ConnectionError};
    ///
    /// #[derive(Debug)]
    /// struct SetUp;
    ///
    /// impl CustomizeConnection<SqliteConnection, ConnectionError> for SetUp {
    ///     fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), ConnectionError> {
    /// // Wait for other writers, use write-ahead logging, and wait for the disk at each commit.
    ///         conn.batch_execute(
    ///             "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
    ///         ).map_err(ConnectionError::QueryError)
    ///     }
    /// }
    ///
    /// let manager = ConnectionManager::<SqliteConnection>::new(file); // "/var/lib/shop/shop.db"
    /// let pool = Pool::builder()
    ///     .test_on_check_out(false)
    ///     .connection_customizer(Box::new(SetUp))
    ///     .build(manager)
    ///     .unwrap();
    /// let sessions = DieselSession::new(pool);
    /// sessions.migrate()?;
    /// # drop(sessions);
    /// # ["", "-wal", "-shm"].iter().for_each(|end| drop(std::fs::remove_file(format!("{file}{end}"))));
    /// # }
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    #[must_use]
    pub fn new(pool: Pool<M>) -> Self {
        Self::over(pool, Options::default())
    }

    /// Returns the settings of a new store: with a new pool ([`Builder::connect`]), or over yours ([`Builder::over`]).
    pub fn builder() -> Builder<C, M> {
        Builder::default()
    }

    fn over(pool: Pool<M>, options: Options) -> Self {
        let call_timeout = pool.connection_timeout();
        Self {
            pools: Arc::new(Pools::new(pool, None)),
            options: Arc::new(options),
            call_timeout,
            helpers: None,
            is_theirs: true,
            verdict: Verdict::default(),
            answers: Arc::new(Answers::new()),
        }
    }

    /// Returns the pool, for the application's own queries. If a server stops answering, the store replaces a pool that
    /// it built. So call this method each time you need a connection.
    ///
    /// A pool that the store built does not test its connections. So your own queries can get a connection that a
    /// restart of the server broke.
    ///
    /// Do not call this store while you hold one of the pool's connections: use [`on`](Self::on) with that connection.
    /// If every request holds one connection and waits for a second one, none gets it, and all fail with
    /// [`Error::PoolTimeout`].
    #[must_use]
    pub fn pool(&self) -> Pool<M> {
        Pool::clone(&self.pools.now())
    }

    /// Returns the same store on a connection that the caller holds, inside the caller's open transaction, if there is
    /// one: see [`OnConnection`].
    pub fn on<'a>(&'a self, conn: &'a mut C) -> OnConnection<'a, C> {
        self.options.on(conn)
    }
}

impl<C: SessionConnection, M: ManageConnection<Connection = C>> Clone for DieselSession<C, M> {
    fn clone(&self) -> Self {
        Self {
            pools: Arc::clone(&self.pools),
            options: Arc::clone(&self.options),
            call_timeout: self.call_timeout,
            helpers: self.helpers.clone(),
            is_theirs: self.is_theirs,
            verdict: self.verdict.clone(),
            answers: Arc::clone(&self.answers),
        }
    }
}

impl<C: SessionConnection, M: ManageConnection<Connection = C>> fmt::Debug for DieselSession<C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DieselSession")
            .field("connection", &std::any::type_name::<C>())
            .field("pool", &self.pools.now().state())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
