//! The store on a connection that the caller holds.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::future::{Ready, ready};

use crate::database::{SessionConnection, now_or_never};
use crate::error::Error;
use crate::operations::{Execute, Operation, Update, contracts};
use crate::options::Options;
use crate::retry::{run_on, update_on};

/// The operations of a store on a connection that the caller holds. It comes from [`DieselSession::on`], or without a
/// pool from [`Options::on`].
///
/// The operations run inside the caller's open transaction, if there is one, and they commit or roll back with it. The
/// store never retries them. [`Error::NotFound`] and similar errors are not errors of the database, so the transaction
/// stays usable after them. [`Now`] and [`Sessions`] describe each operation.
///
/// On SQLite, begin a transaction with `immediate_transaction` if it reads a session and then writes. A plain
/// transaction fails at its first write ("database is locked") if another connection has written in between.
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
/// let key = sessions.generate(Some("cart=3"), None)?;
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
    conn: RefCell<&'a mut C>,
    options: &'a Options,
}

impl Options {
    /// Returns the operations under these options, on a connection that the caller holds.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use diesel::prelude::*;
    /// use diesel_session::{KeyStorage, Now, Options, migrations};
    ///
    /// let mut conn = SqliteConnection::establish(":memory:").expect("a connection");
    /// migrations::migrate(&mut conn, KeyStorage::Hashed)?;
    ///
    /// let options = Options::default();
    /// let key = options.on(&mut conn).generate(Some("cart=3"), None)?;
    /// assert_eq!(options.on(&mut conn).get(&key)?.0, "cart=3");
    /// # }
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    pub fn on<'a, C: SessionConnection>(&'a self, conn: &'a mut C) -> OnConnection<'a, C> {
        OnConnection { conn: RefCell::new(conn), options: self }
    }
}

contracts!(OnConnection<'_, C>, C: SessionConnection);

impl<C> OnConnection<'_, C> {
    /// The connection is in use only while the function of an update runs.
    fn conn(&self) -> Ready<Result<RefMut<'_, C>, Error>> {
        let conn = self.conn.try_borrow_mut().map_err(|_| Error::WithinUpdate);
        ready(conn.map(|conn| RefMut::map(conn, |conn| &mut **conn)))
    }
}

impl<C: SessionConnection> Execute for OnConnection<'_, C> {
    type Connection = C;
    type Reader = C;

    fn options(&self) -> &Options {
        self.options
    }

    fn run<O: Operation<C>>(&self, operation: Result<O, Error>) -> Result<O::Output, Error> {
        now_or_never(run_on(|| self.conn(), operation))
    }

    fn run_update<E: From<Error>>(
        &self,
        update: Result<Update, Error>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        now_or_never(update_on(|| self.conn(), self.options, update, change))
    }
}

impl<C> fmt::Debug for OnConnection<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnConnection").field("options", self.options).finish_non_exhaustive()
    }
}
