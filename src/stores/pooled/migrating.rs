//! The session table's migrations.

use diesel::r2d2::ManageConnection;

use super::DieselSession;
use crate::database::SessionConnection;
use crate::error::Error;

impl<C: SessionConnection, M: ManageConnection<Connection = C>> DieselSession<C, M> {
    /// Brings the session table to this version's form, and returns how many migrations that took.
    ///
    /// See [`SessionTable::migrate`](crate::SessionTable::migrate), which this calls for the store's table. It is bound
    /// by the locks it waits for and by the size of an adopted table, not by the store's timeouts.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], and then nothing was changed; [`Error::PoolTimeout`].
    pub fn migrate(&self) -> Result<usize, Error> {
        self.options.migrate_on(&mut *self.connection()?)
    }

    /// Checks, without changing anything, that the session table is up to date and that the pool's connections use it:
    /// see [`SessionTable::check`](crate::SessionTable::check) and [`Options::check`](crate::Options::check).
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], which names what is missing; [`Error::PoolTimeout`].
    pub fn check(&self) -> Result<(), Error> {
        self.options.check(&mut *self.connection()?)
    }
}
