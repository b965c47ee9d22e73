//! Databases for each test, and helpers.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Barrier, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_session::{
    AsyncBuilder, AsyncDieselSession, Builder, DieselSession, KeyStorage, OnConnection, OwnerLimit,
    SessionConnection, Sessions, TimeDelta, migrations,
};
use tempfile::TempDir;
use throwaway_postgres::{Server, with_database};

pub(crate) type Postgres = DieselSession<PgConnection>;
pub(crate) type Sqlite = DieselSession<SqliteConnection>;
pub(crate) type Mysql = DieselSession<MysqlConnection>;

/// The server that most tests share. It ends with this process.
static SERVER: LazyLock<Option<Server>> = LazyLock::new(|| match std::env::var("TEST_DATABASE_URL") {
    Ok(_) => None,
    Err(_) => Some(Server::start(&[]).expect("a PostgreSQL server for the tests")),
});

fn server_url() -> String {
    match &*SERVER {
        Some(server) => server.url("postgres"),
        None => std::env::var("TEST_DATABASE_URL").expect("it was set"),
    }
}

/// Turns a migrated session table into a hash-partitioned one.
pub(crate) const PARTITION: &str = include_str!("../../docs/scaling/partition.sql");

/// A test's own server with these rules in its `pg_hba.conf`. Its superuser can always connect.
pub(crate) struct Guarded {
    pub(crate) server: Server,
    _rules: TempDir,
}

impl Guarded {
    pub(crate) fn by(rules: &str, settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The server may run as another user.
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let file = directory.path().join("pg_hba.conf");
        std::fs::write(&file, format!("local all postgres trust\n{rules}\n")).unwrap();
        let file = format!("hba_file={}", file.display());
        let settings: Vec<&str> = settings.iter().copied().chain([file.as_str()]).collect();
        Self { server: Server::start(&settings).unwrap(), _rules: directory }
    }
}

/// An empty PostgreSQL database, dropped with this value.
pub(crate) struct Database {
    pub(crate) url: String,
    name: String,
    server_url: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self::on(&server_url())
    }

    /// Creates a database on another server than the shared one.
    pub(crate) fn on(server_url: &str) -> Self {
        Self::made(server_url, "")
    }

    /// Creates a database in an encoding of PostgreSQL's. `SQL_ASCII` accepts any bytes except NUL as text.
    pub(crate) fn in_encoding(encoding: &str) -> Self {
        Self::made(&server_url(), &format!("ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
    }

    fn made(server_url: &str, options: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("promises_{}_{number}", std::process::id());
        let mut conn = PgConnection::establish(server_url).unwrap();
        sql_query(format!("CREATE DATABASE {name} {options}")).execute(&mut conn).unwrap();
        Self {
            url: with_database(server_url, &name).expect("TEST_DATABASE_URL is a URL"),
            name,
            server_url: server_url.to_owned(),
        }
    }

    /// Creates a database with a session table that is migrated and then partitioned, as `docs/scaling.md` says.
    pub(crate) fn partitioned() -> Self {
        let database = Self::new();
        let mut conn = database.conn();
        migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
        conn.run(PARTITION);
        database
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn conn(&self) -> PgConnection {
        PgConnection::establish(&self.url).unwrap()
    }

    /// A migrated store with default settings.
    pub(crate) fn store(&self) -> Postgres {
        self.store_with(Postgres::builder())
    }

    /// A migrated store with these settings.
    pub(crate) fn store_with(&self, settings: Builder<PgConnection>) -> Postgres {
        let store = settings.connect(&self.url).unwrap();
        store.migrate().unwrap();
        store
    }
}

impl Database {
    /// A migrated asynchronous store with these settings.
    pub(crate) async fn async_store_with(&self, settings: AsyncBuilder) -> AsyncDieselSession {
        let store = settings.connect(&self.url).await.unwrap();
        store.migrate().await.unwrap();
        store
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // If a test has ended the server, its databases are gone already.
        if let Ok(mut conn) = PgConnection::establish(&self.server_url) {
            let dropped = sql_query(format!("DROP DATABASE {} WITH (FORCE)", self.name)).execute(&mut conn);
            assert!(dropped.is_ok() || thread::panicking(), "{dropped:?}");
        }
    }
}

/// The MariaDB server that most tests share. It ends with this process.
pub(crate) static MARIADB: LazyLock<throwaway_mariadb::Server> =
    LazyLock::new(|| throwaway_mariadb::Server::start(&[]).expect("a MariaDB server for the tests"));

/// An empty MariaDB database, dropped with this value.
pub(crate) struct MariaDb {
    pub(crate) url: String,
    name: String,
    server_url: String,
}

impl MariaDb {
    pub(crate) fn new() -> Self {
        Self::on(&MARIADB)
    }

    /// Creates a database on another server than the shared one.
    pub(crate) fn on(server: &throwaway_mariadb::Server) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("promises_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let server_url = server.url("mysql");
        MysqlConnection::establish(&server_url).unwrap().run(&format!("CREATE DATABASE {name}"));
        Self { url: server.url(&name), name, server_url }
    }

    pub(crate) fn conn(&self) -> MysqlConnection {
        MysqlConnection::establish(&self.url).unwrap()
    }

    /// A migrated store with default settings.
    pub(crate) fn store(&self) -> Mysql {
        self.store_with(Mysql::builder())
    }

    /// A migrated store with these settings.
    pub(crate) fn store_with(&self, settings: Builder<MysqlConnection>) -> Mysql {
        let store = settings.connect(&self.url).unwrap();
        store.migrate().unwrap();
        store
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // If a test has ended the server, its databases are gone already.
        if let Ok(mut conn) = MysqlConnection::establish(&self.server_url) {
            conn.run(&format!("DROP DATABASE {}", self.name));
        }
    }
}

/// A new SQLite file, deleted with this value.
pub(crate) struct File {
    pub(crate) path: String,
    _directory: TempDir,
}

impl File {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.sqlite").to_str().unwrap().to_owned();
        Self { path, _directory: directory }
    }

    pub(crate) fn conn(&self) -> SqliteConnection {
        SqliteConnection::establish(&self.path).unwrap()
    }

    /// A migrated store with default settings.
    pub(crate) fn store(&self) -> Sqlite {
        self.store_with(Sqlite::builder())
    }

    /// A migrated store with these settings.
    pub(crate) fn store_with(&self, settings: Builder<SqliteConnection>) -> Sqlite {
        let store = settings.connect(&self.path).unwrap();
        store.migrate().unwrap();
        store
    }
}

/// The options for which the laws of bounds are written.
pub(crate) fn bounded<C, P>(limit: OwnerLimit) -> Builder<C, P> {
    let builder = Builder::default().owner_limit(limit).max_lifetime(TimeDelta::hours(1));
    builder.touch_interval(TimeDelta::zero())
}

/// A store that threads can share.
pub(crate) trait Store: Sessions + Sync {}

impl<S: Sessions + Sync> Store for S {}

/// Checks a law against a store on one connection, in a transaction that the caller has opened.
pub(crate) fn in_transaction<C: SessionConnection>(
    store: &DieselSession<C>,
    law: impl FnOnce(&OnConnection<'_, C>),
) {
    let mut conn = store.pool().get().unwrap();
    conn.begin_test_transaction().unwrap();
    law(&store.on(&mut conn));
}

/// Does the same without a transaction.
pub(crate) fn outside_transactions<C: SessionConnection>(
    store: &DieselSession<C>,
    law: impl FnOnce(&OnConnection<'_, C>),
) {
    law(&store.on(&mut store.pool().get().unwrap()));
}

/// Runs `work` on so many threads, which start at the same moment. Each gets its number.
pub(crate) fn at_once<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|number| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    work(number)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Returns the path of one of the crate's examples. It is a program of this package, which `cargo test` builds first.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_quickstart_example")).with_file_name(format!("{name}_example"))
}

/// Sends a GET request for the first page, as a browser does. Returns the response with its head. `cookie` is empty if the
/// browser has none.
pub(crate) fn first_page(address: &str, cookie: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{cookie}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Returns everything that an error shows of itself, including its sources.
pub(crate) fn shown(error: &dyn StdError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, " {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    text
}

/// A time far longer than any bound of a test.
pub(crate) const LATE: Duration = Duration::from_secs(60);

/// The SQL for the number of connections to this PostgreSQL database that wait for a lock.
pub(crate) const WAITERS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

/// The SQL for the number of connections to this MariaDB server that wait for a row's lock.
pub(crate) const MARIADB_WAITERS: &str = "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status \
     WHERE variable_name = 'Innodb_row_lock_current_waits'";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    value: bool,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    value: String,
}

/// Runs SQL at this address of PostgreSQL or MariaDB.
pub(crate) fn run_on(url: &str, sql: &str) {
    if url.starts_with("mysql:") {
        MysqlConnection::establish(url).unwrap().run(sql);
    } else {
        PgConnection::establish(url).unwrap().run(sql);
    }
}

/// Plain SQL on either database, with which a test looks at the database without the crate.
pub(crate) trait Sql: SessionConnection {
    /// Makes the next look at the server's activity a new one, also within a transaction.
    const LOOK_AGAIN: &str;

    fn run(&mut self, sql: &str) {
        self.batch_execute(sql).unwrap();
    }
    fn number(&mut self, sql: &str) -> i64;
    fn yes(&mut self, sql: &str) -> bool;
    fn text(&mut self, sql: &str) -> String;

    /// Waits until some other connection to this PostgreSQL database waits for a lock.
    fn wait_for_a_waiter(&mut self) {
        self.wait_until(WAITERS, |waiters| waiters > 0);
    }

    /// Waits until the number that this query returns is right.
    fn wait_until(&mut self, sql: &str, is_right: impl Fn(i64) -> bool) {
        let started = Instant::now();
        while !is_right(self.number(sql)) {
            assert!(started.elapsed() < LATE, "{sql}: still {}", self.number(sql));
            thread::yield_now();
            self.run(Self::LOOK_AGAIN);
        }
    }

    /// Kills every other connection to this PostgreSQL database, and waits until each is gone.
    fn end_other_connections(&mut self) {
        self.run(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
    }
}

macro_rules! sql {
    ($connection:ty, $look_again:literal) => {
        impl Sql for $connection {
            const LOOK_AGAIN: &str = $look_again;
            fn number(&mut self, sql: &str) -> i64 {
                sql_query(format!("SELECT ({sql}) AS value")).get_result::<Count>(self).unwrap().value
            }
            fn yes(&mut self, sql: &str) -> bool {
                sql_query(format!("SELECT ({sql}) AS value")).get_result::<Answer>(self).unwrap().value
            }
            fn text(&mut self, sql: &str) -> String {
                sql_query(format!("SELECT ({sql}) AS value")).get_result::<Word>(self).unwrap().value
            }
        }
    };
}
sql!(PgConnection, "SELECT pg_stat_clear_snapshot()");
sql!(SqliteConnection, "SELECT 1");
sql!(MysqlConnection, "DO 1");
