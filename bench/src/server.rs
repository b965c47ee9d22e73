//! The PostgreSQL server of the measurements, this program's databases on it, and SQLite files.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use bench_measure::SQLITE_PRAGMAS;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use tempfile::TempDir;
use throwaway_postgres::{Server, with_database};

/// The settings of a throwaway server that differ from the defaults. They prevent background work: no checkpoint runs
/// during a measurement, and the program vacuums all tables at the same points.
const SETTINGS: [&str; 7] = [
    "fsync=on",
    "full_page_writes=on",
    "shared_buffers=2GB",
    "max_wal_size=16GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    // A parallel VACUUM can take more shared memory than a container has.
    "max_parallel_maintenance_workers=0",
];

/// The server that `DATABASE_URL` names, or a throwaway one.
pub(crate) struct Postgres {
    url: String,
    /// Stops the server when this is dropped.
    throwaway: Option<Server>,
}

impl Postgres {
    pub(crate) fn start() -> Result<Self> {
        if let Ok(url) = std::env::var("DATABASE_URL") {
            return Ok(Self { url, throwaway: None });
        }
        let server = Server::start(&SETTINGS).context("starting a PostgreSQL server")?;
        Ok(Self { url: server.url("postgres"), throwaway: Some(server) })
    }

    pub(crate) fn is_throwaway(&self) -> bool {
        self.throwaway.is_some()
    }

    /// Creates an empty database.
    pub(crate) fn database(&self, synchronous_commit: bool) -> Result<Database> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("diesel_session_bench_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut conn = self.connect()?;
        sql_query(format!("CREATE DATABASE {name}")).execute(&mut conn)?;
        let database = Database {
            url: with_database(&self.url, &name).context("DATABASE_URL is not a URL")?,
            server_url: self.url.clone(),
            name,
        };
        let setting = if synchronous_commit { "on" } else { "off" };
        sql_query(format!("ALTER DATABASE {} SET synchronous_commit = {setting}", database.name))
            .execute(&mut conn)?;
        // The stores of this crate set a timeout if there is none. This gives every contender the same one.
        sql_query(format!("ALTER DATABASE {} SET statement_timeout = '1h'", database.name))
            .execute(&mut conn)?;
        let stands = format!("SELECT count(*) WHERE current_setting('synchronous_commit') = '{setting}'");
        let stands = number(&mut database.connect()?, &stands)? == 1;
        ensure!(
            stands,
            "synchronous_commit = {setting} has no effect: remove the setting from the role or the URL"
        );
        Ok(database)
    }

    pub(crate) fn connect(&self) -> Result<PgConnection> {
        PgConnection::establish(&self.url).context("connecting to PostgreSQL")
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Returns the result of a query that yields one whole number.
pub(crate) fn number(conn: &mut PgConnection, query: &str) -> Result<i64> {
    let query = format!("SELECT ({query})::bigint AS number");
    Ok(sql_query(query).get_result::<Number>(conn)?.number)
}

/// A database of this program. Dropping this value drops the database.
pub(crate) struct Database {
    pub(crate) url: String,
    server_url: String,
    name: String,
}

impl Database {
    pub(crate) fn connect(&self) -> Result<PgConnection> {
        PgConnection::establish(&self.url).context("connecting to PostgreSQL")
    }
}

/// The database or file that holds a contender's table.
pub(crate) trait Tidy {
    /// Removes what the last operations left.
    fn tidy(&self) -> Result<()>;
}

impl Tidy for Database {
    fn tidy(&self) -> Result<()> {
        Ok(self.connect()?.batch_execute("VACUUM")?)
    }
}

/// A new SQLite file. Dropping this value removes it.
pub(crate) struct File(TempDir);

impl File {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("sessions.sqlite")
    }

    /// Opens a connection.
    pub(crate) fn connect(&self) -> Result<rusqlite::Connection> {
        let conn = rusqlite::Connection::open(self.path())?;
        conn.execute_batch(SQLITE_PRAGMAS)?;
        Ok(conn)
    }
}

impl Tidy for File {
    fn tidy(&self) -> Result<()> {
        let busy: bool =
            self.connect()?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        ensure!(!busy, "the checkpoint of SQLite was blocked: another connection still reads or writes");
        Ok(())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped = PgConnection::establish(&self.server_url).map(|mut conn| {
            sql_query(format!("DROP DATABASE {} WITH (FORCE)", self.name)).execute(&mut conn)
        });
        if !matches!(dropped, Ok(Ok(_))) {
            eprintln!("the database {} could not be dropped: {dropped:?}", self.name);
        }
    }
}

/// Reads a statistic repeatedly until it is complete, because the server's processes report theirs when they end.
pub(crate) fn reported(
    conn: &mut PgConnection,
    query: &str,
    mut enough: impl FnMut(i64) -> bool,
) -> Result<i64> {
    for _ in 0..200 {
        let seen = number(conn, query)?;
        if enough(seen) {
            return Ok(seen);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(anyhow!("the server's statistics did not arrive: {query}"))
}
