//! Settings of a pool on SQLite that the store makes.

use diesel::SqliteConnection;

use crate::options::Builder;

/// When SQLite waits for the disk (its manual, "PRAGMA synchronous"), for
/// [`Builder::synchronous`](crate::Builder::synchronous).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Synchronous {
    /// At checkpoints. A loss of power can undo the last writes: a session that was ended may live again. The default.
    #[default]
    Normal,
    /// At each commit. A loss of power undoes nothing that was acknowledged.
    Full,
}

impl<P> Builder<SqliteConnection, P> {
    /// When SQLite waits for the disk. Defaults to [`Synchronous::Normal`].
    ///
    /// With [`Synchronous::Normal`] a crash of the process loses nothing. A loss of power can undo the last writes, an
    /// acknowledged logout among them; it never damages the file. [`Synchronous::Full`] loses nothing, and each write
    /// waits for the disk. If the file cannot write ahead (`journal_mode = WAL`), for example on a network file system,
    /// the store uses [`Synchronous::Full`] in any case.
    pub fn synchronous(mut self, level: Synchronous) -> Self {
        self.pool.connection.waits_for_disk = level == Synchronous::Full;
        self
    }
}
