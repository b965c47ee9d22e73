//! The store over a connection pool: it takes a connection and hands each call to the operations.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::r2d2::{ConnectionManager, Pool};

use crate::backend::SessionConnection;
use crate::backend::blocking::outcome;
use crate::builder::Builder;
use crate::calls;
use crate::connect::Schema;
use crate::error::Error;
use crate::key::SessionKey;
use crate::migrations;
use crate::now::Now;
use crate::operations::{
    Bind, Clear, ClearListed, ClearOwner, Count, DeleteExpired, Generate, Get, OwnerOf, Replace, Rotate,
    SessionsOf, Set, Touch, Update,
};
use crate::owner::{OwnedSession, SessionCount, SessionHandle};
use crate::rules::Rules;
use crate::sessions::Sessions;

mod bounded;
mod build;
mod on_connection;
#[cfg(feature = "postgres")]
mod postgres;
mod source;

pub use on_connection::OnConnection;

use bounded::Helpers;

/// A store of sessions in a database, over an r2d2 pool of Diesel connections.
///
/// Cheap to clone; clones share pool, rules and default period. It implements [`Now`] and [`Sessions`]; [`on`]
/// gives the same operations on a connection that you hold, inside your open transaction.
///
/// A connection that broke while it lay in the pool is replaced, and the call repeated on another: no
/// caller sees a restart of the server that is over. So a repeated `set` may land after another writer's; what
/// could be done twice by that is not repeated, and says so ([`Error::OutcomeUnknown`]): a `replace`, for which the
/// connection is asked first whether it lives, and an `update` whose COMMIT was not answered.
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
    /// The schema that the pool's connections look into, where it was set.
    schema: Option<Schema>,
    rules: Arc<Rules>,
    /// How long one call may take, all attempts together.
    call_timeout: Duration,
    helpers: Option<Helpers>,
}

impl<C: SessionConnection> DieselSession<C> {
    /// A store over a pool of its own, with every setting at its default: see [`Builder::connect`].
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a string that is no address, [`Error::PoolTimeout`] where no connection
    /// could be made in 5 seconds.
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

    /// A store over the application's own pool, with the default rules; [`Builder::over`] takes others.
    ///
    /// The pool keeps its own settings: its timeouts, and `test_on_check_out`, which costs one round trip
    /// for every operation and can be off, since the store replaces broken connections. Nothing but those
    /// settings bounds a call to a server that does not answer. The session table is found as the pool's
    /// connections find tables.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use diesel::r2d2::{ConnectionManager, Pool};
    /// use diesel::sqlite::SqliteConnection;
    /// use diesel_session::DieselSession;
    ///
    /// let manager = ConnectionManager::<SqliteConnection>::new("file:shop?mode=memory&cache=shared");
    /// let pool = Pool::builder().test_on_check_out(false).build(manager).unwrap();
    /// let sessions = DieselSession::new(pool);
    /// sessions.migrate()?;
    /// # }
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
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
        Self { pool, schema: None, rules: Arc::new(rules), call_timeout, helpers: None }
    }

    /// The pool, for the application's own queries. It does not test its connections, where the store has made it:
    /// those queries meet the ones that a restart of the server broke.
    #[must_use]
    pub fn pool(&self) -> &Pool<ConnectionManager<C>> {
        &self.pool
    }

    /// The same store on a connection that the caller holds, inside the caller's open transaction, if any:
    /// see [`OnConnection`].
    pub fn on<'a>(&'a self, conn: &'a mut C) -> OnConnection<'a, C> {
        self.rules.on(conn)
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
        migrations::migrate_in(self.schema.as_ref(), &mut *self.connection()?, self.rules.key_storage())
    }

    /// Checks, without changing anything, that the session table is up to date: [`migrations::check`] with
    /// the store's key storage.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], which names what is missing; [`Error::PoolTimeout`].
    pub fn check(&self) -> Result<(), Error> {
        migrations::check(&mut *self.connection()?, self.rules.key_storage())
    }
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
        self.call(Generate::new(&self.rules, None, value, expiry))
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        self.call(Ok(Clear::new(&self.rules, key)))
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        self.call(Ok(Get::new(&self.rules, key)))
    }

    fn set(&self, key: &SessionKey, value: String, expiry: Option<TimeDelta>) -> Result<(), Error> {
        self.call(Set::new(&self.rules, key, value, expiry))
    }
}

impl<C: SessionConnection> Sessions for DieselSession<C> {
    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        self.call(Rotate::new(&self.rules, key))
    }

    fn touch(&self, key: &SessionKey, expiry: Option<TimeDelta>) -> Result<bool, Error> {
        self.call(Touch::new(&self.rules, key, expiry))
    }

    fn update<E: From<Error>>(
        &self,
        key: &SessionKey,
        expiry: Option<TimeDelta>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        let update = Update::new(&self.rules, key, expiry);
        outcome(calls::call_update(self, &self.rules, update, change))
    }

    fn replace(
        &self,
        key: &SessionKey,
        expected: Option<String>,
        new: String,
        expiry: Option<TimeDelta>,
    ) -> Result<(), Error> {
        self.call(Replace::new(&self.rules, key, expected, new, expiry))
    }

    fn generate_for(
        &self,
        owner: &str,
        value: Option<String>,
        expiry: Option<TimeDelta>,
    ) -> Result<SessionKey, Error> {
        self.call(Generate::new(&self.rules, Some(owner), value, expiry))
    }

    fn bind(&self, key: &SessionKey, owner: &str) -> Result<(), Error> {
        self.call(Bind::new(&self.rules, key, owner))
    }

    fn owner_of(&self, key: &SessionKey) -> Result<Option<String>, Error> {
        self.call(Ok(OwnerOf::new(&self.rules, key)))
    }

    fn sessions_of(&self, owner: &str) -> Result<Vec<OwnedSession>, Error> {
        self.call(SessionsOf::new(owner))
    }

    fn handle(&self, key: &SessionKey) -> SessionHandle {
        self.rules.handle(key)
    }

    fn clear_owner(&self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error> {
        self.call(ClearOwner::new(&self.rules, owner, keep))
    }

    fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Error> {
        self.call(ClearListed::new(owner, handle))
    }

    fn count(&self) -> Result<SessionCount, Error> {
        self.call(Ok(Count))
    }

    fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        self.call(Ok(DeleteExpired { limit }))
    }
}

impl<C: SessionConnection> Clone for DieselSession<C> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            schema: self.schema.clone(),
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
