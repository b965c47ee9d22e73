//! Runs the command as a process, on a real database.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel_session::{DieselSession, SessionConnection, Sessions};
use tempfile::TempDir;
use throwaway_postgres::Server;

/// A database with nothing in it.
pub(crate) trait Database: Sized {
    type Connection: SessionConnection;
    fn new() -> Self;
    fn url(&self) -> String;

    /// A store of the library on it. The table must exist.
    fn store(&self) -> DieselSession<Self::Connection> {
        DieselSession::connect(&self.url()).unwrap()
    }

    fn run_sql(&self, sql: &str) {
        Self::Connection::establish(&self.url()).unwrap().batch_execute(sql).unwrap();
    }

    /// Drops an index of the session table.
    fn drop_index(&self, name: &str) {
        self.run_sql(&format!("DROP INDEX {name}"));
    }

    /// The command, ready to run.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.env("DATABASE_URL", self.url());
        command
    }

    /// Runs the command. Returns what it printed. It must succeed.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(output.stdout)
    }

    /// Runs the command, which must fail. Returns the line of the failure.
    fn fails(&self, arguments: &[&str]) -> String {
        failure(self.command(arguments))
    }

    /// Makes the table, and returns a store.
    fn migrated(&self) -> DieselSession<Self::Connection> {
        self.run(&["migrate"]);
        self.store()
    }
}

pub(crate) struct Postgres(pub(crate) Server);

impl Database for Postgres {
    type Connection = PgConnection;

    fn new() -> Self {
        Self(Server::start(&[]).unwrap())
    }

    fn url(&self) -> String {
        self.0.url("postgres")
    }
}

/// The server that most tests share. It ends with this process.
static MARIADB: LazyLock<throwaway_mariadb::Server> =
    LazyLock::new(|| throwaway_mariadb::Server::start(&[]).unwrap());

pub(crate) struct MariaDb(String);

impl Database for MariaDb {
    type Connection = MysqlConnection;

    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("promises_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut conn = MysqlConnection::establish(&MARIADB.url("mysql")).unwrap();
        conn.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        Self(MARIADB.url(&name))
    }

    fn url(&self) -> String {
        self.0.clone()
    }

    fn drop_index(&self, name: &str) {
        self.run_sql(&format!("DROP INDEX {name} ON session"));
    }
}

pub(crate) struct Sqlite(TempDir);

impl Sqlite {
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("app.sqlite")
    }
}

impl Database for Sqlite {
    type Connection = SqliteConnection;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn url(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }
}

/// Makes a test of each promise for each database.
macro_rules! on_each_database {
    (except mysql: $($promise:ident)*) => {
        $crate::support::on_each_database! { on postgres Postgres: $($promise)* }
        $crate::support::on_each_database! { on sqlite Sqlite: $($promise)* }
    };
    (on $module:ident $database:ident: $($promise:ident)*) => {
        mod $module {
            use crate::support::{$database, Database as _};

            $(#[test] fn $promise() { super::$promise(&$database::new()); })*
        }
    };
    ($($promise:ident)*) => {
        $crate::support::on_each_database! { on mysql MariaDb: $($promise)* }
        $crate::support::on_each_database! { except mysql: $($promise)* }
    };
}
pub(crate) use on_each_database;

/// The command without a database, and without a terminal.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diesel-session"));
    command.args(arguments).stdin(Stdio::null()).env_remove("DATABASE_URL");
    command
}

/// Runs a command that must fail. It prints one line on standard error, and nothing else.
pub(crate) fn failure(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert_eq!(status.code(), Some(1), "{stdout}{stderr}");
    assert_eq!(stdout, "");
    let line = stderr.strip_prefix("diesel-session: ").unwrap_or_else(|| panic!("{stderr}"));
    assert!(line.ends_with('\n') && line.lines().count() == 1, "{stderr}");
    line.trim_end().to_owned()
}

pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Returns the number of live and of expired sessions.
pub(crate) fn counts(store: &impl Sessions) -> (u64, u64) {
    let count = store.count().unwrap();
    (count.live, count.expired)
}

/// Returns when a statement has waited for a lock for this many milliseconds. Somebody must wait within 20 seconds.
pub(crate) fn wait_for_a_waiter(conn: &mut PgConnection, milliseconds: u32) {
    conn.batch_execute(&format!(
        "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
           AND clock_timestamp() > query_start + interval '{milliseconds} ms') \
         LOOP ASSERT clock_timestamp() < statement_timestamp() + interval '20 s', 'nobody waits'; \
           PERFORM pg_sleep(0.01), pg_stat_clear_snapshot(); END LOOP; END $$"
    ))
    .unwrap();
}
