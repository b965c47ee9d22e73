//! The store over a connection pool: it takes a connection and hands each call to the operations.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::connection::{TransactionManager, TransactionManagerStatus};
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection};
use diesel::result::DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};

use crate::backend::SessionConnection;
use crate::error::Error;
use crate::key::SessionKey;
use crate::migrations;
use crate::now::Now;
use crate::operations::{Clear, DeleteExpired, Generate, Get, Operation, Set};
use crate::rules::Rules;

mod bounded;
mod builder;
mod on_connection;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use builder::Builder;
pub use on_connection::OnConnection;

use bounded::Helpers;

/// A store of sessions in a database, over an r2d2 pool of Diesel connections.
///
/// Cheap to clone; clones share pool, rules and default period. It implements [`Now`]; [`on`] gives the
/// same operations on a connection that you hold, inside your open transaction.
///
/// A connection that broke while it lay in the pool is replaced, and the call repeated on another: no
/// caller sees a restart of the server that is over. A repeated `set` may so land after another writer's.
/// A connection that comes with an open transaction (a test's) is never replaced.
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
/// let key = sessions.generate(Some("cart=3".to_owned()), None)?;
/// assert_eq!(sessions.get(&key)?.0, "cart=3");
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
///
/// [`on`]: DieselSession::on
pub struct DieselSession<C: SessionConnection> {
    pool: Pool<ConnectionManager<C>>,
    rules: Arc<Rules>,
    /// How long one call may take, all attempts together.
    call_timeout: Duration,
    helpers: Option<Helpers>,
}

impl<C: SessionConnection> DieselSession<C> {
    /// A store over the application's own pool, with the default rules.
    ///
    /// The pool keeps its own settings: its timeouts, and `test_on_check_out`, which costs one round trip
    /// for every operation and can be off, since the store replaces broken connections. The session table
    /// is looked for as the pool's connections look for tables.
    #[must_use]
    pub fn new(pool: Pool<ConnectionManager<C>>) -> Self {
        Self::over(pool, Rules::default())
    }

    /// Settings for a store: rules, and a pool of its own.
    pub fn builder() -> Builder<C> {
        Builder::default()
    }

    fn over(pool: Pool<ConnectionManager<C>>, rules: Rules) -> Self {
        let call_timeout = pool.connection_timeout();
        Self { pool, rules: Arc::new(rules), call_timeout, helpers: None }
    }

    /// The pool, for the application's own queries.
    #[must_use]
    pub fn pool(&self) -> &Pool<ConnectionManager<C>> {
        &self.pool
    }

    /// The same store on a connection that the caller holds, inside the caller's open transaction, if any.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// # use diesel::prelude::*;
    /// # use diesel_session::{DieselSession, Error, Now};
    /// # let sessions = DieselSession::<SqliteConnection>::connect(":memory:")?;
    /// # sessions.migrate()?;
    /// # let key = sessions.generate(None, None)?;
    /// # let mut conn = sessions.pool().get().unwrap();
    /// conn.transaction(|conn| {
    ///     // diesel::insert_into(orders::table)...execute(conn)?;
    ///     sessions.on(conn).set(&key, "cart=", None)
    /// })?;
    /// # }
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    pub fn on<'a>(&'a self, conn: &'a mut C) -> OnConnection<'a, C> {
        OnConnection::new(conn, &self.rules)
    }

    /// Brings the session table to this version's form, and returns how many migrations that took.
    ///
    /// See [`migrations::migrate`], which this calls with the store's key storage. It is bound by the
    /// locks it waits for and by the size of an adopted table, not by the store's timeouts.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], and then nothing was changed; [`Error::PoolTimeout`].
    pub fn migrate(&self) -> Result<usize, Error> {
        migrations::migrate(&mut *self.connection(self.call_timeout)?, self.rules.key_storage())
    }

    /// Deletes at most `limit` expired sessions, the longest expired first, and returns how many. Call
    /// again while it returns `limit`; a limit of zero does nothing.
    ///
    /// One statement by an index, safe beside other sweepers. On PostgreSQL it leaves sessions that
    /// expired in the current hour (UTC) for later: that keeps every write to a session off the index.
    ///
    /// # Errors
    ///
    /// As every operation on the database.
    pub fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        self.call(DeleteExpired { limit })
    }

    fn connection(&self, timeout: Duration) -> Result<PooledConnection<ConnectionManager<C>>, Error> {
        let started = Instant::now();
        self.pool
            .get_timeout(timeout.min(self.pool.connection_timeout()))
            .map_err(|source| Error::PoolTimeout { waited: started.elapsed(), source })
    }

    /// Runs an operation on a pooled connection; on another where that one turns out to be lost.
    fn call<O>(&self, mut operation: O) -> Result<O::Output, Error>
    where
        O: Operation<C> + Send + 'static,
        O::Output: Send + 'static,
    {
        let deadline = Instant::now() + self.call_timeout;
        // At worst, every connection in the pool is lost, and the next is new.
        for earlier in 0..=self.pool.max_size() {
            let conn = self.connection(deadline.saturating_duration_since(Instant::now()))?;
            let attempt = move || attempt(operation, conn, earlier > 0);
            let (back, result) = match &self.helpers {
                Some(helpers) => helpers.run(deadline, attempt)?,
                None => attempt(),
            };
            match result {
                Err(Failure::Lost(_)) if earlier < self.pool.max_size() && Instant::now() < deadline => {
                    operation = back;
                }
                Err(Failure::Lost(error) | Failure::Other(error)) => return Err(error),
                Ok(output) => return Ok(output),
            }
        }
        unreachable!("the last attempt returns")
    }
}

enum Failure {
    /// The connection is of no use any more; the operation may have taken effect.
    Lost(Error),
    Other(Error),
}

/// Runs the operation once, gives the connection back to the pool, and the operation to the caller.
fn attempt<C: SessionConnection, O: Operation<C>>(
    mut operation: O,
    mut conn: PooledConnection<ConnectionManager<C>>,
    repeated: bool,
) -> (O, Result<O::Output, Failure>) {
    let in_transaction = !matches!(status(&mut *conn).transaction_depth(), Ok(None));
    let result = operation.run(&mut conn, repeated).map_err(|error| match error {
        // A test's transaction: a new connection would have a new, empty one.
        Error::Database(source) if !in_transaction => explain(source, &mut *conn),
        other => Failure::Other(other),
    });
    (operation, result)
}

/// What a database error means for the connection that it happened on.
fn explain<C: SessionConnection>(source: diesel::result::Error, conn: &mut C) -> Failure {
    use diesel::result::Error::{BrokenTransactionManager, DatabaseError};
    let said_so =
        matches!(source, DatabaseError(ClosedConnection | UnableToSendCommand, _) | BrokenTransactionManager);
    // Diesel hides the SQLSTATE of a missing table, and now and then a lost connection: so ask.
    let has_table = if said_so { None } else { conn.has_table().ok() };
    match has_table {
        Some(false) => Failure::Other(Error::MissingTable { source }),
        None if C::REMOTE => {
            // Else the pool would keep it: a statement that fails before it is sent leaves no mark.
            status(conn).set_in_error();
            Failure::Lost(Error::Database(source))
        }
        Some(true) | None => Failure::Other(Error::Database(source)),
    }
}

fn status<C: SessionConnection>(conn: &mut C) -> &mut TransactionManagerStatus {
    C::TransactionManager::transaction_manager_status_mut(conn)
}

impl<C: SessionConnection> Now for DieselSession<C> {
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

    fn generate(&self, value: Option<String>, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        self.call(Generate::new(&self.rules, value, expiry)?)
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        self.call(Clear::new(&self.rules, key))
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        self.call(Get::new(&self.rules, key))
    }

    fn set(&self, key: &SessionKey, value: String, expiry: Option<TimeDelta>) -> Result<(), Error> {
        self.call(Set::new(&self.rules, key, value, expiry)?)
    }
}

impl<C: SessionConnection> Clone for DieselSession<C> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            rules: Arc::clone(&self.rules),
            call_timeout: self.call_timeout,
            helpers: self.helpers.clone(),
        }
    }
}

impl<C: SessionConnection> fmt::Debug for DieselSession<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DieselSession")
            .field("connection", &std::any::type_name::<C>())
            .field("pool", &self.pool.state())
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
