//! Connections to SQLite.

use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError};

use super::{Connect, ConnectionSettings};
use crate::error::Error;

impl Connect for SqliteConnection {
    const REMOTE: bool = false;

    fn address(url: &str, _settings: &ConnectionSettings) -> Result<String, Error> {
        Ok(url.to_owned())
    }

    /// SQLite's manual, "In-Memory Databases"; an empty path is a temporary database.
    fn is_private(address: &str) -> bool {
        // Diesel reads `sqlite://` as `file:`.
        let path = address.replace("sqlite://", "file:");
        path.is_empty()
            || path == ":memory:"
            || path.starts_with("file::memory:")
            || (path.starts_with("file:") && path.contains("mode=memory"))
    }

    fn set_up(settings: &ConnectionSettings) -> Box<dyn CustomizeConnection<Self, ConnectionError>> {
        Box::new(SetUp { busy_timeout: settings.statement_timeout })
    }
}

#[derive(Debug)]
struct SetUp {
    busy_timeout: Duration,
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
