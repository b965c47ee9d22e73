//! The store on a connection that the caller holds.

use std::fmt;

use chrono::TimeDelta;

use crate::backend::SessionConnection;
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{Clear, DeleteExpired, Generate, Get, Operation as _, Set};
use crate::rules::Rules;

/// The operations of a store on a connection that the caller holds: from [`DieselSession::on`], or without a
/// pool from [`Rules::on`].
///
/// They run inside the caller's open transaction, if there is one: what they did is undone with it, and
/// commits with it. Nothing is ever repeated here, and none of them provokes a database error to learn
/// something, so that the transaction stays usable after [`Error::NotFound`] and its like. [`Now`] says what
/// each does.
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
        Generate::new(self.rules, value, expiry)?.run(self.conn, false)
    }

    /// Ends the session: [`Now::clear`](crate::Now::clear).
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn clear(&mut self, key: &SessionKey) -> Result<(), Error> {
        Clear::new(self.rules, key).run(self.conn, false)
    }

    /// The session's value and what is left of its period: [`Now::get`](crate::Now::get).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotSet`]; [`Error::Database`].
    pub fn get(&mut self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        Get::new(self.rules, key).run(self.conn, false)
    }

    /// Sets a live session's value and expiry: [`Now::set`](crate::Now::set).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; a refused value or expiry, and then nothing is written; [`Error::Database`].
    pub fn set(&mut self, key: &SessionKey, value: &str, expiry: Option<TimeDelta>) -> Result<(), Error> {
        Set::new(self.rules, key, value, expiry)?.run(self.conn, false)
    }

    /// Deletes at most `limit` expired sessions:
    /// [`DieselSession::delete_expired`](crate::DieselSession::delete_expired).
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn delete_expired(&mut self, limit: u32) -> Result<usize, Error> {
        DeleteExpired { limit }.run(self.conn, false)
    }
}

impl<C> fmt::Debug for OnConnection<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnConnection").field("rules", self.rules).finish_non_exhaustive()
    }
}
