//! The contenders: the stores that are measured. Each has its own table and is called through its own interface.

use std::fmt;

use anyhow::Result;
use bench_measure::{Amount, Operation, Sample};
use serde::Serialize;

pub(crate) mod asynchronous;
pub(crate) mod diesel_session;
pub(crate) mod peers;
pub(crate) mod pgbench;
pub(crate) mod prepared_sqlite;
pub(crate) mod rusqlite;
pub(crate) mod sysbench;
pub(crate) mod tasks;
pub(crate) mod tower_sessions;

/// The maximum number of connections in a contender's pool.
pub(crate) const POOL: u32 = 8;

/// The contenders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "&'static str")]
pub(crate) enum Name {
    /// `DieselSession` without deadlines for calls. Only the default settings add helper threads for these; pgbench,
    /// sysbench and sqlx have no deadlines.
    Unbounded,
    /// `DieselSession` with the default settings on PostgreSQL and MariaDB: every call has a deadline.
    Bounded,
    /// Each thread keeps one connection, as pgbench's clients do. This leaves out the cost of a shared pool.
    Held,
    /// Each `update` locks its session before it reads, on a connection from the pool. Every `update` did so once.
    Locked,
    /// `Blocking` over `DieselSession` with the default settings, called from tasks through `AsyncNow`.
    Blocking,
    /// `AsyncDieselSession` through `AsyncNow`.
    Async,
    /// The same, with a few connections that reads share.
    AsyncPipelined,
    /// The interface of `tower-sessions-sqlx-store`: `AsyncDieselSession` through tower-sessions, and on SQLite
    /// `Blocking`.
    Tower,
    /// The same, with a few connections that reads share.
    TowerPipelined,
    /// The store of `tower-sessions-sqlx-store`.
    Sqlx,
    /// The same, without the check before each use that the connection is alive. The check is the pool's default.
    SqlxUnchecked,
    /// The store of `tower-sessions-redis-store`. Redis flushes its log once a second.
    Redis,
    /// tower-sessions' store in the memory of the process. It keeps nothing.
    Memory,
    /// The store of `tower-sessions-rusqlite-store`, with its one connection.
    Rusqlite,
    /// One thread per client, as the blocking stores have.
    PgBench,
    /// All clients on two threads. Each thread waits for several connections at once.
    PgBenchTwoThreads,
    /// Several gets in each of pgbench's own pipelines, on as many connections as the reads of this crate share.
    PgBenchPipelined,
    /// The limit on SQLite.
    Prepared,
    /// The limit on MariaDB: prepared statements of the same client library.
    Sysbench,
}

impl Name {
    /// Returns the name in tables, plots and figures.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unbounded => "diesel-session",
            Self::Bounded => "diesel-session (default)",
            Self::Held => "diesel-session, connections held",
            Self::Locked => "diesel-session, update with a lock",
            Self::Blocking => "diesel-session, Blocking (default)",
            Self::Async => "diesel-session, async",
            Self::AsyncPipelined => "diesel-session, async pipelined",
            Self::Tower => "diesel-session, tower-sessions",
            Self::TowerPipelined => "diesel-session, tower-sessions pipelined",
            Self::Sqlx => "tower-sessions-sqlx-store",
            Self::SqlxUnchecked => "tower-sessions-sqlx-store, unchecked",
            Self::Redis => "tower-sessions-redis-store",
            Self::Memory => "tower-sessions MemoryStore",
            Self::Rusqlite => "tower-sessions-rusqlite-store",
            Self::PgBench => "pgbench (the limit)",
            Self::PgBenchTwoThreads => "pgbench, two threads",
            Self::PgBenchPipelined => "pgbench, pipelined",
            Self::Prepared => "prepared statements (the limit)",
            Self::Sysbench => "sysbench (the limit)",
        }
    }
}

impl From<Name> for &'static str {
    fn from(name: Name) -> Self {
        name.as_str()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A contender.
pub(crate) trait Contender {
    fn name(&self) -> Name;

    /// Runs an operation with `clients` clients at once, on sessions drawn at random.
    fn run(&mut self, operation: Operation, clients: usize, amount: Amount) -> Result<Sample>;

    /// Removes what the last operations left in the table. This is not measured.
    fn tidy(&mut self) -> Result<()>;
}

/// Returns a session value of random characters, which a database cannot compress.
pub(crate) fn value(bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    (0..bytes).map(|_| random.alphanumeric()).collect()
}
