//! The PostgreSQL server that is measured on, databases of the program's own on it, and SQLite files.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use tempfile::TempDir;
use throwaway_postgres::{Server, with_database};

/// What a server of our own is told besides the defaults. Nothing runs that was not asked for: no checkpoint
/// comes in between, and tables are vacuumed by the program, all at the same times.
const SETTINGS: [&str; 7] = [
    "fsync=on",
    "full_page_writes=on",
    "shared_buffers=2GB",
    "max_wal_size=16GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    // A parallel VACUUM takes more shared memory than a container may have.
    "max_parallel_maintenance_workers=0",
];

/// The server that `DATABASE_URL` names, or a throwaway one.
pub(crate) struct Postgres {
    url: String,
    /// Ends the server when this is dropped.
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

    /// A new, empty database.
    pub(crate) fn database(&self, synchronous_commit: bool) -> Result<Database> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("diesel_session_bench_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut conn = self.connect()?;
        sql_query(format!("CREATE DATABASE {name}")).execute(&mut conn)?;
        let database = Database {
            url: with_database(&self.url, &name).context("DATABASE_URL is no URL")?,
            server_url: self.url.clone(),
            name,
        };
        let setting = if synchronous_commit { "on" } else { "off" };
        sql_query(format!("ALTER DATABASE {} SET synchronous_commit = {setting}", database.name))
            .execute(&mut conn)?;
        // Ours would set one on its connections, where none is: so everybody has the same.
        sql_query(format!("ALTER DATABASE {} SET statement_timeout = '1h'", database.name))
            .execute(&mut conn)?;
        let stands = format!("SELECT count(*) WHERE current_setting('synchronous_commit') = '{setting}'");
        let stands = number(&mut database.connect()?, &stands)? == 1;
        ensure!(
            stands,
            "synchronous_commit = {setting} does not reach a session: the role or the URL has another"
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

/// What a query answers that has one whole number for an answer.
pub(crate) fn number(conn: &mut PgConnection, query: &str) -> Result<i64> {
    let query = format!("SELECT ({query})::bigint AS number");
    Ok(sql_query(query).get_result::<Number>(conn)?.number)
}

/// A database of the program's own, dropped with this value.
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

/// What a contender's table is in.
pub(crate) trait Tidy {
    /// Clears away what the last operations left.
    fn tidy(&self) -> Result<()>;
}

impl Tidy for Database {
    fn tidy(&self) -> Result<()> {
        Ok(self.connect()?.batch_execute("VACUUM")?)
    }
}

/// A new SQLite file, removed with this value.
pub(crate) struct File(TempDir);

impl File {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("sessions.sqlite")
    }

    /// With the pragmas that `diesel-session` sets.
    pub(crate) fn connect(&self) -> Result<rusqlite::Connection> {
        let conn = rusqlite::Connection::open(self.path())?;
        conn.execute_batch(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
        )?;
        Ok(conn)
    }
}

impl Tidy for File {
    fn tidy(&self) -> Result<()> {
        let busy: bool =
            self.connect()?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        ensure!(!busy, "a checkpoint of SQLite met somebody who still reads or writes");
        Ok(())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped = PgConnection::establish(&self.server_url).map(|mut conn| {
            sql_query(format!("DROP DATABASE {} WITH (FORCE)", self.name)).execute(&mut conn)
        });
        if !matches!(dropped, Ok(Ok(_))) {
            eprintln!("the database {} is left behind: {dropped:?}", self.name);
        }
    }
}
