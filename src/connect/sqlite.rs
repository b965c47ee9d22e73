//! Connections to SQLite.

use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError};

/// Whether a database is private to its connection: SQLite's manual, "In-Memory Databases"; an empty path
/// is a temporary database.
pub(crate) fn is_in_memory(path: &str) -> bool {
    let path = path.strip_prefix("sqlite://").unwrap_or(path);
    path.is_empty()
        || path == ":memory:"
        || path.starts_with("file::memory:")
        || (path.starts_with("file:") && path.contains("mode=memory"))
}

/// What each new connection is told.
#[derive(Debug)]
pub(crate) struct SetUp {
    pub(crate) busy_timeout: Duration,
}

impl CustomizeConnection<SqliteConnection, ConnectionError> for SetUp {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), ConnectionError> {
        // First the time-out: to switch to WAL takes a lock.
        let milliseconds = self.busy_timeout.as_millis();
        conn.batch_execute(&format!(
            "PRAGMA busy_timeout = {milliseconds}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
        ))?;
        Ok(())
    }
}
