//! Settings of a store that exist only on SQLite.

use diesel::SqliteConnection;

use crate::options::Builder;

/// When SQLite waits for the disk: see "PRAGMA synchronous" in SQLite's manual. A value for
/// [`Builder::synchronous`](crate::Builder::synchronous).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Synchronous {
    /// At checkpoints. A power failure can undo the last writes, so a session that was ended may live again. The
    /// default.
    #[default]
    Normal,
    /// At each commit. A power failure undoes no acknowledged write.
    Full,
}

impl<P> Builder<SqliteConnection, P> {
    /// Sets when SQLite waits for the disk. Defaults to [`Synchronous::Normal`].
    ///
    /// With [`Synchronous::Normal`], a crash of the process loses nothing. A power failure can undo the last writes,
    /// even an acknowledged logout, but it never damages the file. [`Synchronous::Full`] loses nothing, but each write
    /// waits for the disk. If the file cannot use write-ahead logging (`journal_mode = WAL`), for example on a network
    /// file system, the store always uses [`Synchronous::Full`].
    pub fn synchronous(mut self, level: Synchronous) -> Self {
        self.pool.connection.waits_for_disk = level == Synchronous::Full;
        self
    }
}
