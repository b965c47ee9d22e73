//! Migrates the session table.

use diesel::r2d2::ManageConnection;

use super::DieselSession;
use crate::database::SessionConnection;
use crate::error::Error;

impl<C: SessionConnection, M: ManageConnection<Connection = C>> DieselSession<C, M> {
    /// Brings the session table to this version's form, and returns how many migrations that took.
    ///
    /// See [`SessionTable::migrate`](crate::SessionTable::migrate), which this runs for the store's table. The locks
    /// that it waits for and the size of an adopted table determine how long it takes. The store's timeouts apply only
    /// until it has a connection that answers.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`] if the migrations fail. [`Error::PoolTimeout`], [`Error::ServerTimeout`] or
    /// [`Error::ConnectionLost`] if no connection answers in time. Nothing was changed then.
    pub fn migrate(&self) -> Result<usize, Error> {
        self.options.migrate_on(&mut *self.connection()?)
    }

    /// Checks that the session table is up to date and that the pool's connections use it. It changes nothing. See
    /// [`SessionTable::check`](crate::SessionTable::check) and [`Options::check`](crate::Options::check).
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], which names what is missing. [`Error::PoolTimeout`], [`Error::ServerTimeout`] or
    /// [`Error::ConnectionLost`] if no connection answers in time.
    pub fn check(&self) -> Result<(), Error> {
        self.options.check(&mut *self.connection()?)
    }
}
