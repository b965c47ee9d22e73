//! Opens connections to SQLite, and sets them up.

use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError};
use diesel::sql_query;
use diesel::sql_types::{Integer, Text};

use crate::database::{BlockingConnection, SessionConnection};
use crate::error::Error;
use crate::options::ConnectionSettings;

/// How long a connection of the application waits for another connection's lock, if the application has not set it. In
/// milliseconds.
const BUSY_TIMEOUT: u32 = 5_000;

impl SessionConnection for SqliteConnection {}

impl BlockingConnection for SqliteConnection {
    /// SQLite refuses the first write of a transaction that began with a read, if another connection has written in
    /// between.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const REMOTE: bool = false;

    /// Refuses addresses of other libraries and databases, because SQLite would treat them as names of files.
    fn address(url: &str, _settings: &ConnectionSettings) -> Result<String, Error> {
        let refuse =
            |reason: &str| Err(Error::Configuration { setting: "connection", reason: reason.to_owned() });
        let scheme = url.split_once(':').map_or(String::new(), |(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_str() {
            "sqlite" if !url.starts_with("sqlite://") => refuse(
                "SQLite would create a file with a name that begins with `sqlite:`: use the path alone, `:memory:`, or \
                 `sqlite://` and the path",
            ),
            "postgres" | "postgresql" | "mysql" | "mariadb" => {
                refuse("an address of another database: SQLite takes the path of a file, or `:memory:`")
            }
            _ => Ok(url.to_owned()),
        }
    }

    /// Whether each connection to this address has its own database: see "In-Memory Databases" in SQLite's manual. An
    /// empty path is a temporary database.
    fn is_private(address: &str) -> bool {
        // Diesel reads `sqlite://` as `file:`.
        let path = address.replace("sqlite://", "file:");
        path.is_empty()
            || path == ":memory:"
            || path.starts_with("file::memory:")
            || (path.starts_with("file:") && path.contains("mode=memory"))
    }

    /// Sets a busy timeout if there is none, because SQLite then fails at once if another connection writes. A timeout
    /// that the application has set stays.
    fn prepare_borrowed(&mut self) -> QueryResult<()> {
        #[derive(QueryableByName)]
        struct BusyTimeout {
            #[diesel(sql_type = Integer)]
            timeout: i32,
        }
        let BusyTimeout { timeout } = sql_query("PRAGMA busy_timeout").get_result(self)?;
        if timeout == 0 {
            self.batch_execute(&format!("PRAGMA busy_timeout = {BUSY_TIMEOUT}"))?;
        }
        Ok(())
    }

    fn set_up(
        _address: &str,
        settings: &ConnectionSettings,
    ) -> Box<dyn CustomizeConnection<Self, ConnectionError>> {
        let (busy_timeout, waits_for_disk) = (settings.statement_timeout, settings.waits_for_disk);
        Box::new(SetUp { busy_timeout, waits_for_disk })
    }
}

#[derive(Debug)]
struct SetUp {
    busy_timeout: Duration,
    waits_for_disk: bool,
}

impl CustomizeConnection<SqliteConnection, ConnectionError> for SetUp {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), ConnectionError> {
        #[derive(QueryableByName)]
        struct Mode {
            #[diesel(sql_type = Text)]
            journal_mode: String,
        }
        // The timeout comes first, because the switch to WAL takes a lock.
        conn.batch_execute(&format!("PRAGMA busy_timeout = {}", self.busy_timeout.as_millis()))?;
        let Mode { journal_mode } = sql_query("PRAGMA journal_mode = WAL").get_result(conn)?;
        // Without WAL, NORMAL could damage the file.
        let synchronous = if self.waits_for_disk || journal_mode != "wal" { "FULL" } else { "NORMAL" };
        conn.batch_execute(&format!("PRAGMA synchronous = {synchronous}"))?;
        Ok(())
    }
}
