//! The environment of the measurement: the machine, the versions, the settings.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use serde::Serialize;

use crate::contenders::{Name, POOL};
use crate::mariadb;
use crate::plan::Group;
use crate::server::Postgres;

#[derive(Serialize)]
pub(crate) struct Environment {
    pub(crate) machine: BTreeMap<&'static str, String>,
    pub(crate) versions: BTreeMap<&'static str, String>,
    pub(crate) settings: BTreeMap<String, String>,
    /// Each contender and the interface that it is called through.
    pub(crate) contenders: BTreeMap<&'static str, &'static str>,
}

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    value: String,
}

/// The server settings that affect its speed and durability.
const SETTINGS: &str = "SELECT name, current_setting(name) AS value FROM pg_settings WHERE name IN \
    ('server_version', 'fsync', 'full_page_writes', 'wal_level', 'shared_buffers', 'max_wal_size', \
     'checkpoint_timeout', 'autovacuum', 'max_connections', 'jit', 'track_io_timing', 'lc_collate')";

/// Packages whose versions matter. The versions come from the lock file.
const PACKAGES: [&str; 16] = [
    "diesel-session",
    "diesel",
    "diesel-async",
    "deadpool",
    "tokio-postgres",
    "r2d2",
    "mysqlclient-sys",
    "pq-sys",
    "libsqlite3-sys",
    "rusqlite",
    "sqlx",
    "tokio",
    "tower-sessions-core",
    "tower-sessions-memory-store",
    "tower-sessions-redis-store",
    "tower-sessions-sqlx-store",
];

impl Environment {
    pub(crate) fn look(server: &Postgres, plan: &[Group]) -> Result<Self> {
        let settings: Vec<Setting> = sql_query(SETTINGS).load(&mut server.connect()?)?;
        let mut settings: BTreeMap<String, String> =
            settings.into_iter().map(|setting| (setting.name, setting.value)).collect();
        let whose = if server.is_throwaway() { "throwaway" } else { "named by DATABASE_URL" };
        settings.insert("server".to_owned(), whose.to_owned());
        settings.insert(
            "pool".to_owned(),
            format!("{POOL} connections; pgbench and sysbench have one per client"),
        );
        settings.insert(
            "warm-up".to_owned(),
            "half a second before each second that counts; pgbench and sysbench differ, see their entries"
                .to_owned(),
        );
        settings.insert("mariadb".to_owned(), mariadb::SETTINGS.join(" "));
        settings.insert("sqlite".to_owned(), "WAL, synchronous = NORMAL, busy_timeout = 5 s".to_owned());
        Ok(Self { machine: machine()?, versions: versions()?, settings, contenders: contenders(plan) })
    }
}

/// Describes the contenders, by name.
fn contenders(plan: &[Group]) -> BTreeMap<&'static str, &'static str> {
    let names = plan.iter().flat_map(|group| &group.contenders);
    names.map(|name| (name.as_str(), what(*name))).collect()
}

fn what(name: Name) -> &'static str {
    match name {
        Name::Unbounded => {
            "DieselSession through Now, from threads; on PostgreSQL and MariaDB with bounded_calls(false), because \
            pgbench, sysbench and tower-sessions-sqlx-store have no deadlines for calls"
        }
        Name::Bounded => "the same with the default settings, under which every call has a deadline",
        Name::Held => "the same operations through DieselSession::on, on a connection that each thread holds",
        Name::Locked => {
            "DieselSession::on with a connection from the pool: update locks the session before it reads, in BEGIN, \
            SELECT FOR UPDATE, UPDATE, COMMIT"
        }
        Name::Blocking => {
            "Blocking over DieselSession with the default settings, through AsyncNow, from tasks on one thread per \
            processor"
        }
        Name::Async => {
            "AsyncDieselSession through AsyncNow, from tasks on one thread per processor, with a pool of the same \
            size and the default settings, under which every call has a deadline"
        }
        Name::AsyncPipelined => {
            "the same with .pipelined(4): gets share four of the pool's connections and are sent together"
        }
        Name::Tower => {
            "AsyncDieselSession, and Blocking on SQLite, as TowerSessionStore, through SessionStore of tower-sessions-core 0.15, from tasks on \
            one thread per processor: load, save, create, delete of records like those of tower-sessions-sqlx-store"
        }
        Name::TowerPipelined => "the same with .pipelined(4)",
        Name::Sqlx => {
            "PostgresStore, SqliteStore and MySqlStore through SessionStore of tower-sessions-core 0.14, from \
            tasks on one thread per processor: load, save, create, delete; by default its pool checks before each \
            use that the connection is alive, which costs a round trip that diesel-session does not make"
        }
        Name::SqlxUnchecked => "the same with a pool that does not check, which is not the default",
        Name::Redis => {
            "RedisStore through SessionStore of tower-sessions-core 0.14, from tasks on one thread per processor, with \
            eight connections to a Redis on a Unix socket; appendfsync everysec: a crash loses the last second"
        }
        Name::Memory => {
            "MemoryStore through SessionStore of tower-sessions-core 0.15, in the memory of the process, without a \
            server: a restart loses everything, and expired sessions stay"
        }
        Name::Rusqlite => {
            "RusqliteStore through SessionStore of tower-sessions-core 0.15, in a program of its own with a newer \
            SQLite, from tasks on one thread per processor; it has one connection, with the same pragmas"
        }
        Name::PgBench => {
            "pgbench -M prepared with the statements that DieselSession sends, one thread per client; \
            connections are new in each sample; the first half of a timed sample, or the first tenth of counted \
            operations, does not count, except for processor time; latencies are of one operation in five"
        }
        Name::PgBenchTwoThreads => "the same with all clients on two threads",
        Name::PgBenchPipelined => {
            "pgbench -M prepared on four connections; each sends its share of the clients' gets between \
            \\startpipeline and \\endpipeline; gets are counted, and a latency is that of a pipeline; it sends one \
            Sync for a whole pipeline, so that the server begins one transaction for several gets; requests of \
            different visitors cannot share a transaction"
        }
        Name::Prepared => {
            "rusqlite with the same table and statements with the same meaning, one connection per client"
        }
        Name::Sysbench => {
            "sysbench with the statements that DieselSession sends, prepared on libmariadb, one connection and one \
            thread per client; connections are new in each sample, and statements are prepared before it begins; all \
            operations of two seconds count"
        }
    }
}

const AUTOGROUP: &str = "/proc/sys/kernel/sched_autogroup_enabled";

fn machine() -> Result<BTreeMap<&'static str, String>> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    Ok(BTreeMap::from([
        ("processor", field(&cpu, "model name")),
        ("processors", std::thread::available_parallelism()?.to_string()),
        ("memory", field(&memory, "MemTotal")),
        ("kernel", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned()),
        // Whether each server process gets as much processor time as all the clients' threads together.
        (
            "sched_autogroup",
            fs::read_to_string(AUTOGROUP).map_or_else(|_| "none".to_owned(), |on| on.trim().to_owned()),
        ),
    ]))
}

/// Returns the versions of a package in a lock file. tower-sessions-core has two, because each store has its own.
fn locked(lock: &str, package: &str) -> String {
    let entry = format!("name = \"{package}\"\nversion = \"");
    let entries = lock.split(&entry).skip(1);
    entries.filter_map(|entry| entry.split('"').next()).collect::<Vec<_>>().join(" and ")
}

fn versions() -> Result<BTreeMap<&'static str, String>> {
    let lock = include_str!("../../../Cargo.lock");
    let mut versions: BTreeMap<&str, String> =
        PACKAGES.iter().map(|package| (*package, locked(lock, package))).collect();
    let package = "tower-sessions-rusqlite-store";
    versions.insert(package, locked(include_str!("../../rusqlite/Cargo.lock"), package));
    let pgbench = Command::new(throwaway_postgres::binaries()?.join("pgbench")).arg("--version").output()?;
    versions.insert("pgbench, with its libpq", String::from_utf8(pgbench.stdout)?.trim().to_owned());
    for program in ["sysbench", "/usr/sbin/mariadbd", "redis-server"] {
        let said = Command::new(program).arg("--version").output();
        let said = said.with_context(|| {
            format!("starting {program}: `apt install sysbench mariadb-server-core redis-server`")
        })?;
        versions.insert(program, String::from_utf8(said.stdout)?.trim().to_owned());
    }
    let commit = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = commit.map_or_else(|_| Vec::new(), |said| said.stdout);
    versions.insert("commit", String::from_utf8(commit)?.trim().to_owned());
    versions.insert("SQLite", rusqlite::version().to_owned());
    let profile = if cfg!(debug_assertions) { "debug: not for figures" } else { "release" };
    versions.insert("build", profile.to_owned());
    Ok(versions)
}
