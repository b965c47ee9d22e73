//! The store on a connection that the caller holds.

use std::fmt;

use chrono::TimeDelta;

use crate::backend::SessionConnection;
use crate::backend::blocking::outcome;
use crate::calls::{clear_owner_on, run_on, update_on};
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{
    Bind, Clear, ClearListed, ClearOwner, Count, DeleteExpired, Generate, Get, Operation, OwnerOf, Replace,
    Rotate, SessionsOf, Set, Touch, Update,
};
use crate::owner::{OwnedSession, SessionCount, SessionHandle};
use crate::rules::Rules;

/// The operations of a store on a connection that the caller holds: from [`DieselSession::on`], or without a
/// pool from [`Rules::on`].
///
/// They run inside the caller's open transaction, if there is one: what they did is undone with it, and
/// commits with it. Nothing is ever repeated here, and none of them provokes a database error to learn
/// something, so that the transaction stays usable after [`Error::NotFound`] and its like. [`Now`] and [`Sessions`]
/// say what each does.
///
/// On SQLite, begin a transaction that reads a session and then writes with `immediate_transaction`: a plain
/// one fails at its first write ("database is locked") when another connection has written meanwhile.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use diesel::sqlite::SqliteConnection;
/// use diesel_session::{DieselSession, Error, Now};
///
/// let sessions = DieselSession::<SqliteConnection>::connect(":memory:")?;
/// sessions.migrate()?;
/// let key = sessions.generate(Some("cart=3".to_owned()), None)?;
///
/// let mut conn = sessions.pool().get().expect("a connection");
/// conn.immediate_transaction(|conn| {
///     let (cart, _left) = sessions.on(conn).get(&key)?;
///     // diesel::insert_into(orders::table).values(orders::cart.eq(cart)).execute(conn)?;
///     sessions.on(conn).set(&key, "cart=", None)
/// })?;
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
///
/// [`DieselSession::on`]: crate::DieselSession::on
/// [`Now`]: crate::Now
/// [`Sessions`]: crate::Sessions
pub struct OnConnection<'a, C> {
    conn: &'a mut C,
    rules: &'a Rules,
}

impl Rules {
    /// The operations under these rules, on a connection that the caller holds.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use diesel::prelude::*;
    /// use diesel_session::{KeyStorage, Rules, migrations};
    ///
    /// let mut conn = SqliteConnection::establish(":memory:").expect("a connection");
    /// migrations::migrate(&mut conn, KeyStorage::Hashed)?;
    ///
    /// let rules = Rules::default();
    /// let key = rules.on(&mut conn).generate(Some("cart=3"), None)?;
    /// assert_eq!(rules.on(&mut conn).get(&key)?.0, "cart=3");
    /// # }
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    pub fn on<'a, C: SessionConnection>(&'a self, conn: &'a mut C) -> OnConnection<'a, C> {
        OnConnection { conn, rules: self }
    }
}

impl<C: SessionConnection> OnConnection<'_, C> {
    /// Starts a session under a new key: [`Now::generate`](crate::Now::generate).
    ///
    /// # Errors
    ///
    /// A refused value or expiry, and then nothing is written; [`Error::Database`].
    pub fn generate(&mut self, value: Option<&str>, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        self.run(Generate::new(self.rules, None, value, None, expiry))
    }

    /// Ends the session: [`Now::clear`](crate::Now::clear).
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn clear(&mut self, key: &SessionKey) -> Result<(), Error> {
        self.run(Ok(Clear::new(self.rules, key)))
    }

    /// The session's value and what is left of its period: [`Now::get`](crate::Now::get).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotSet`]; [`Error::Database`].
    pub fn get(&mut self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        self.run(Ok(Get::new(self.rules, key)))
    }

    /// Sets a live session's value and expiry: [`Now::set`](crate::Now::set).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; a refused value or expiry, and then nothing is written; [`Error::Database`].
    pub fn set(&mut self, key: &SessionKey, value: &str, expiry: Option<TimeDelta>) -> Result<(), Error> {
        self.run(Set::new(self.rules, key, value, expiry))
    }

    /// Gives a live session a new key: [`Sessions::rotate`](crate::Sessions::rotate).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Database`].
    pub fn rotate(&mut self, key: &SessionKey) -> Result<SessionKey, Error> {
        self.run(Rotate::new(self.rules, key))
    }

    /// Prolongs a live session and says whether it wrote: [`Sessions::touch`](crate::Sessions::touch).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::PeriodOutOfRange`]; [`Error::Database`].
    pub fn touch(&mut self, key: &SessionKey, expiry: Option<TimeDelta>) -> Result<bool, Error> {
        self.run(Touch::new(self.rules, key, expiry))
    }

    /// Sets a live session's value to what `change` makes of it: [`Sessions::update`](crate::Sessions::update). In a
    /// transaction of its own, or in a savepoint of yours, which is undone where `change` fails or panics; it runs
    /// once.
    ///
    /// On PostgreSQL, under an isolation stricter than READ COMMITTED, which is then yours, another's write since
    /// your transaction began is a serialization failure
    /// ([`DatabaseErrorKind`](diesel::result::DatabaseErrorKind)): begin again.
    ///
    /// # Errors
    ///
    /// What `change` returns; [`Error::NotFound`]; a refused value or expiry; [`Error::Database`]. Then nothing is
    /// written.
    ///
    /// # Panics
    ///
    /// Where `change` panics: nothing is written.
    pub fn update<E: From<Error>>(
        &mut self,
        key: &SessionKey,
        expiry: Option<TimeDelta>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        outcome(update_on(self.conn, self.rules, Update::new(self.rules, key, expiry), change))
    }

    /// Sets a live session's value if it is the expected one: [`Sessions::replace`](crate::Sessions::replace).
    ///
    /// # Errors
    ///
    /// [`Error::Changed`]; [`Error::NotFound`]; a refused value or expiry; [`Error::Database`]. Then nothing is
    /// written.
    pub fn replace(
        &mut self,
        key: &SessionKey,
        expected: Option<&str>,
        new: &str,
        expiry: Option<TimeDelta>,
    ) -> Result<(), Error> {
        self.run(Replace::new(self.rules, key, expected, new, expiry))
    }

    /// Starts a session of an owner: [`Sessions::generate_for`](crate::Sessions::generate_for).
    ///
    /// # Errors
    ///
    /// A refused owner, value or expiry; [`Error::OwnerLimit`]; [`Error::Database`]. Then nothing is written.
    pub fn generate_for(
        &mut self,
        owner: &str,
        value: Option<&str>,
        expiry: Option<TimeDelta>,
    ) -> Result<SessionKey, Error> {
        self.run(Generate::new(self.rules, Some(owner), value, None, expiry))
    }

    /// Makes a live session an owner's: [`Sessions::bind`](crate::Sessions::bind).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; a refused owner; [`Error::OwnerLimit`]; [`Error::Database`]. Then nothing is written.
    pub fn bind(&mut self, key: &SessionKey, owner: &str) -> Result<(), Error> {
        self.run(Bind::new(self.rules, key, owner))
    }

    /// Whose a live session is: [`Sessions::owner_of`](crate::Sessions::owner_of).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Database`].
    pub fn owner_of(&mut self, key: &SessionKey) -> Result<Option<String>, Error> {
        self.run(Ok(OwnerOf::new(self.rules, key)))
    }

    /// An owner's live sessions: [`Sessions::sessions_of`](crate::Sessions::sessions_of).
    ///
    /// # Errors
    ///
    /// A refused owner; [`Error::Database`].
    pub fn sessions_of(&mut self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Error> {
        self.run(SessionsOf::new(owner, limit))
    }

    /// Ends an owner's sessions, but the one to keep: [`Sessions::clear_owner`](crate::Sessions::clear_owner).
    ///
    /// # Errors
    ///
    /// A refused owner; [`Error::Database`].
    pub fn clear_owner(&mut self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error> {
        outcome(clear_owner_on(self.conn, ClearOwner::new(self.rules, owner, keep)))
    }

    /// Ends an owner's session by its handle: [`Sessions::clear_listed`](crate::Sessions::clear_listed).
    ///
    /// # Errors
    ///
    /// A refused owner; [`Error::Database`].
    pub fn clear_listed(&mut self, owner: &str, handle: &SessionHandle) -> Result<bool, Error> {
        self.run(ClearListed::new(owner, handle))
    }

    /// How many sessions there are: [`Sessions::count`](crate::Sessions::count).
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn count(&mut self) -> Result<SessionCount, Error> {
        self.run(Ok(Count))
    }

    /// Deletes at most `limit` expired sessions: [`Sessions::delete_expired`](crate::Sessions::delete_expired).
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn delete_expired(&mut self, limit: u32) -> Result<usize, Error> {
        self.run(Ok(DeleteExpired { limit }))
    }

    fn run<O: Operation<C>>(&mut self, operation: Result<O, Error>) -> Result<O::Output, Error> {
        outcome(run_on(self.conn, operation))
    }
}

impl<C> fmt::Debug for OnConnection<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnConnection").field("rules", self.rules).finish_non_exhaustive()
    }
}
