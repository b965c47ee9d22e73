//! The store on an asynchronous connection that the caller holds.

use std::fmt;

use chrono::TimeDelta;
use diesel_async::AsyncPgConnection;

use crate::calls::{clear_owner_on, run_on, update_on};
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{
    Bind, Clear, ClearListed, ClearOwner, Count, DeleteExpired, Generate, Get, OwnerOf, Replace, Rotate,
    SessionsOf, Set, Touch, Update,
};
use crate::owner::{OwnedSession, SessionCount, SessionHandle};
use crate::rules::Rules;

/// The operations of a store on a connection of diesel-async that the caller holds: from [`AsyncDieselSession::on`], or
/// without a pool from [`Rules::on_async`].
///
/// They run inside the caller's open transaction, if there is one: what they did is undone with it, and
/// commits with it. Nothing is ever repeated here, and none of them provokes a database error to learn
/// something, so that the transaction stays usable after [`Error::NotFound`] and its like. No time limit but the
/// connection's own applies.
///
/// A future that is dropped before it is ready, inside of a transaction or savepoint that it began, takes the connection
/// along: yours around it can then not be committed, and Diesel says so.
///
/// # Examples
///
/// ```no_run
/// use diesel_async::AsyncConnection as _;
/// use diesel_session::{AsyncDieselSession, AsyncPool as _, Error, SessionKey};
///
/// async fn order(sessions: &AsyncDieselSession, key: &SessionKey) -> Result<(), Box<dyn std::error::Error>> {
///     let mut conn = sessions.pool().connection().await?;
///     conn.transaction(async |conn| {
///         let (cart, _left) = sessions.on(conn).get(key).await?;
///         // diesel::insert_into(orders::table).values(orders::cart.eq(cart)).execute(conn).await?;
///         sessions.on(conn).set(key, "cart=", None).await
///     })
///     .await?;
///     Ok(())
/// }
/// ```
///
/// [`AsyncDieselSession::on`]: crate::AsyncDieselSession::on
pub struct AsyncOnConnection<'a> {
    conn: &'a mut AsyncPgConnection,
    rules: &'a Rules,
}

impl Rules {
    /// The operations under these rules, on a connection of diesel-async that the caller holds.
    pub fn on_async<'a>(&'a self, conn: &'a mut AsyncPgConnection) -> AsyncOnConnection<'a> {
        AsyncOnConnection { conn, rules: self }
    }
}

impl AsyncOnConnection<'_> {
    /// Starts a session under a new key: [`AsyncNow::generate`](crate::AsyncNow::generate).
    ///
    /// # Errors
    ///
    /// A refused value or expiry, and then nothing is written; [`Error::Database`].
    pub async fn generate(
        &mut self,
        value: Option<&str>,
        expiry: Option<TimeDelta>,
    ) -> Result<SessionKey, Error> {
        run_on(self.conn, Generate::new(self.rules, None, value, None, expiry)).await
    }

    /// Ends the session: [`AsyncNow::clear`](crate::AsyncNow::clear).
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn clear(&mut self, key: &SessionKey) -> Result<(), Error> {
        run_on(self.conn, Ok(Clear::new(self.rules, key))).await
    }

    /// The session's value and what is left of its period: [`AsyncNow::get`](crate::AsyncNow::get).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotSet`]; [`Error::Database`].
    pub async fn get(&mut self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        run_on(self.conn, Ok(Get::new(self.rules, key))).await
    }

    /// Sets a live session's value and expiry: [`AsyncNow::set`](crate::AsyncNow::set).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; a refused value or expiry, and then nothing is written; [`Error::Database`].
    pub async fn set(
        &mut self,
        key: &SessionKey,
        value: &str,
        expiry: Option<TimeDelta>,
    ) -> Result<(), Error> {
        run_on(self.conn, Set::new(self.rules, key, value, expiry)).await
    }

    /// Gives a live session a new key: [`AsyncSessions::rotate`](crate::AsyncSessions::rotate).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Database`].
    pub async fn rotate(&mut self, key: &SessionKey) -> Result<SessionKey, Error> {
        run_on(self.conn, Rotate::new(self.rules, key)).await
    }

    /// Prolongs a live session and says whether it wrote: [`AsyncSessions::touch`](crate::AsyncSessions::touch).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::PeriodOutOfRange`]; [`Error::Database`].
    pub async fn touch(&mut self, key: &SessionKey, expiry: Option<TimeDelta>) -> Result<bool, Error> {
        run_on(self.conn, Touch::new(self.rules, key, expiry)).await
    }

    /// Sets a live session's value to what `change` makes of it:
    /// [`AsyncSessions::update`](crate::AsyncSessions::update). In a transaction of its own, or in a savepoint of
    /// yours, which is undone where `change` fails or panics; it runs once.
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
    pub async fn update<E: From<Error>>(
        &mut self,
        key: &SessionKey,
        expiry: Option<TimeDelta>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        update_on(self.conn, self.rules, Update::new(self.rules, key, expiry), change).await
    }

    /// Sets a live session's value if it is the expected one:
    /// [`AsyncSessions::replace`](crate::AsyncSessions::replace).
    ///
    /// # Errors
    ///
    /// [`Error::Changed`]; [`Error::NotFound`]; a refused value or expiry; [`Error::Database`]. Then nothing is
    /// written.
    pub async fn replace(
        &mut self,
        key: &SessionKey,
        expected: Option<&str>,
        new: &str,
        expiry: Option<TimeDelta>,
    ) -> Result<(), Error> {
        run_on(self.conn, Replace::new(self.rules, key, expected, new, expiry)).await
    }

    /// Starts a session of an owner: [`AsyncSessions::generate_for`](crate::AsyncSessions::generate_for).
    ///
    /// # Errors
    ///
    /// A refused owner, value or expiry; [`Error::OwnerLimit`]; [`Error::Database`]. Then nothing is written.
    pub async fn generate_for(
        &mut self,
        owner: &str,
        value: Option<&str>,
        expiry: Option<TimeDelta>,
    ) -> Result<SessionKey, Error> {
        run_on(self.conn, Generate::new(self.rules, Some(owner), value, None, expiry)).await
    }

    /// Makes a live session an owner's: [`AsyncSessions::bind`](crate::AsyncSessions::bind).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; a refused owner; [`Error::OwnerLimit`]; [`Error::Database`]. Then nothing is written.
    pub async fn bind(&mut self, key: &SessionKey, owner: &str) -> Result<(), Error> {
        run_on(self.conn, Bind::new(self.rules, key, owner)).await
    }

    /// Whose a live session is: [`AsyncSessions::owner_of`](crate::AsyncSessions::owner_of).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Database`].
    pub async fn owner_of(&mut self, key: &SessionKey) -> Result<Option<String>, Error> {
        run_on(self.conn, Ok(OwnerOf::new(self.rules, key))).await
    }

    /// An owner's live sessions: [`AsyncSessions::sessions_of`](crate::AsyncSessions::sessions_of).
    ///
    /// # Errors
    ///
    /// A refused owner; [`Error::Database`].
    pub async fn sessions_of(&mut self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Error> {
        run_on(self.conn, SessionsOf::new(owner, limit)).await
    }

    /// Ends an owner's sessions, but the one to keep:
    /// [`AsyncSessions::clear_owner`](crate::AsyncSessions::clear_owner).
    ///
    /// # Errors
    ///
    /// A refused owner; [`Error::Database`].
    pub async fn clear_owner(&mut self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error> {
        clear_owner_on(self.conn, ClearOwner::new(self.rules, owner, keep)).await
    }

    /// Ends an owner's session by its handle: [`AsyncSessions::clear_listed`](crate::AsyncSessions::clear_listed).
    ///
    /// # Errors
    ///
    /// A refused owner; [`Error::Database`].
    pub async fn clear_listed(&mut self, owner: &str, handle: &SessionHandle) -> Result<bool, Error> {
        run_on(self.conn, ClearListed::new(owner, handle)).await
    }

    /// How many sessions there are: [`AsyncSessions::count`](crate::AsyncSessions::count).
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn count(&mut self) -> Result<SessionCount, Error> {
        run_on(self.conn, Ok(Count)).await
    }

    /// Deletes at most `limit` expired sessions:
    /// [`AsyncSessions::delete_expired`](crate::AsyncSessions::delete_expired).
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn delete_expired(&mut self, limit: u32) -> Result<usize, Error> {
        run_on(self.conn, Ok(DeleteExpired { limit })).await
    }
}

impl fmt::Debug for AsyncOnConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncOnConnection").field("rules", self.rules).finish_non_exhaustive()
    }
}
