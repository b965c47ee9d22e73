//! Who is measured: each over a table of its own, through its own interface.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::measure::{Amount, Operation, Sample};

pub(crate) mod asynchronous;
pub(crate) mod diesel_session;
pub(crate) mod pgbench;
pub(crate) mod prepared_sqlite;
pub(crate) mod tasks;
pub(crate) mod tower_sessions;

/// The most connections of a contender's pool.
pub(crate) const POOL: u32 = 8;

/// What is left of every session: no session ends while it is measured.
pub(crate) const PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "&'static str")]
pub(crate) enum Name {
    /// Without the helper threads that only the default has: neither pgbench nor sqlx bounds a call either.
    Unbounded,
    /// With the default settings on PostgreSQL: every call ends in time.
    Bounded,
    /// On a connection that each thread holds, as pgbench's clients do: what a shared pool costs is left out.
    Held,
    /// `AsyncDieselSession` through `AsyncNow`.
    Async,
    /// With a few connections that reads share.
    AsyncPipelined,
    /// `AsyncDieselSession` through tower-sessions, as the store of `tower-sessions-sqlx-store` is called.
    Tower,
    /// With a few connections that reads share.
    TowerPipelined,
    /// The store of `tower-sessions-sqlx-store`.
    Sqlx,
    /// Without asking each connection whether it lives before it is used, which is a pool's default.
    SqlxUnchecked,
    /// A thread for each client, as the stores that block have.
    PgBench,
    /// All clients on two threads, which wait for several connections at once.
    PgBenchTwoThreads,
    /// Several gets to each of pgbench's own pipelines, on as many connections as ours share.
    PgBenchPipelined,
    /// The limit on SQLite.
    Prepared,
}

impl Name {
    /// As tables, plots and figures call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unbounded => "diesel-session",
            Self::Bounded => "diesel-session (default)",
            Self::Held => "diesel-session, connections held",
            Self::Async => "diesel-session, async",
            Self::AsyncPipelined => "diesel-session, async pipelined",
            Self::Tower => "diesel-session, tower-sessions",
            Self::TowerPipelined => "diesel-session, tower-sessions pipelined",
            Self::Sqlx => "tower-sessions-sqlx-store",
            Self::SqlxUnchecked => "tower-sessions-sqlx-store, unchecked",
            Self::PgBench => "pgbench (the limit)",
            Self::PgBenchTwoThreads => "pgbench, two threads",
            Self::PgBenchPipelined => "pgbench, pipelined",
            Self::Prepared => "prepared statements (the limit)",
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

/// One of those who are compared.
pub(crate) trait Contender {
    fn name(&self) -> Name;

    /// Runs an operation by so many clients at once, on sessions drawn at random.
    fn run(&mut self, operation: Operation, clients: usize, amount: Amount) -> Result<Sample>;

    /// Clears away what the last operations left in the table, outside of any measurement.
    fn tidy(&mut self) -> Result<()>;
}

/// A session's value: no pattern in it that a database could compress.
pub(crate) fn value(bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    (0..bytes).map(|_| random.alphanumeric()).collect()
}
