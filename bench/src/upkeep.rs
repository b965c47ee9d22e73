//! How a table in use grows, in rows and indexes, and what a sweep costs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel_session::{DieselSession, Now as _, SessionKey, Sessions as _, TimeDelta};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::contenders::diesel_session::{KEY, Table, hashed, insert};
use crate::contenders::value;
use crate::measure::{Amount, on_threads, percentile};
use crate::plan::{BASE_VALUE, Scale};
use crate::server::{Database, Postgres, number};

const CLIENTS: usize = 8;

/// How often each session is set.
const SETS: usize = 5;

/// The time between the starts of two gets while the table is swept.
const INTERVAL: Duration = Duration::from_millis(1);

/// How long gets are measured while nothing else runs.
const PHASE: Duration = Duration::from_secs(3);

/// The pause before each phase, so that no phase is affected by the one before.
const REST: Duration = Duration::from_secs(1);

/// Sessions per batch, and the pause after it as a multiple of the batch's duration. These are the values of the
/// documentation's example.
const PACED: (u32, u32) = (200, 3);

/// The same, as fast as possible.
const UNPACED: (u32, u32) = (1_000, 0);

/// The result of setting every live session five times within one hour.
#[derive(Debug, Serialize)]
pub(crate) struct Writes {
    sessions: usize,
    updates: i64,
    /// Updates that touched no index.
    hot_updates: i64,
    index_bytes_before: i64,
    index_bytes_after: i64,
}

impl Writes {
    pub(crate) fn hot_share(&self) -> f64 {
        self.hot_updates as f64 / self.updates as f64
    }

    pub(crate) fn index_growth(&self) -> f64 {
        self.index_bytes_after as f64 / self.index_bytes_before as f64 - 1.0
    }
}

/// The 99th percentile of one client's gets at a fixed rate, in microseconds. Each is measured from the time when it
/// was due, because that is how long a user waits. The gets run alone and while `deleted` expired sessions are deleted.
#[derive(Debug, Serialize)]
pub(crate) struct Sweep {
    pub(crate) round: usize,
    deleted: usize,
    idle: f64,
    paced: f64,
    paced_seconds: f64,
    unpaced: f64,
    unpaced_seconds: f64,
}

impl Sweep {
    pub(crate) fn slowdown(&self) -> f64 {
        self.paced / self.idle
    }

    pub(crate) fn slowdown_unpaced(&self) -> f64 {
        self.unpaced / self.idle
    }
}

/// A sweep that finds nothing to delete.
#[derive(Debug, Serialize)]
pub(crate) struct IdleSweep {
    /// Pages of the table and its indexes that the sweep read.
    buffers: i64,
    /// Pages of the table.
    table_pages: i64,
}

impl IdleSweep {
    pub(crate) fn share(&self) -> f64 {
        self.buffers as f64 / self.table_pages as f64
    }
}

/// Reads a statistic repeatedly until it is complete, because the server's processes report theirs when they end.
fn reported(conn: &mut PgConnection, query: &str, mut enough: impl FnMut(i64) -> bool) -> Result<i64> {
    for _ in 0..200 {
        let seen = number(conn, query)?;
        if enough(seen) {
            return Ok(seen);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(anyhow!("the server's statistics did not arrive: {query}"))
}

pub(crate) fn writes(scale: Scale, server: &Postgres, bar: &ProgressBar) -> Result<Writes> {
    bar.set_message("set every session five times");
    let value = value(BASE_VALUE);
    let mut conn = server.connect()?;
    // A period that ends tomorrow in the middle of an hour: no set in this run moves a session to the next hour.
    let period =
        number(&mut conn, "SELECT 86400 + (5400 - extract(epoch FROM now())::bigint % 3600) % 3600")?;
    let table = Table::on_postgres(
        server.database(false)?,
        scale.rewritten_rows() / CLIENTS * CLIENTS,
        &value,
        Duration::from_secs(u64::try_from(period)?),
    )?;
    let mut conn = table.database.connect()?;
    let index_bytes = "SELECT pg_indexes_size('session')";
    let index_bytes_before = number(&mut conn, index_bytes)?;
    set_all(&table, &value, TimeDelta::seconds(period))?;
    let index_bytes_after = number(&mut conn, index_bytes)?;
    let sets = i64::try_from(table.keys.len() * SETS)?;
    let statistic = |column| format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = 'session'");
    let updates = reported(&mut conn, &statistic("n_tup_upd"), |updates| updates >= sets)?;
    let hot_updates = number(&mut conn, &statistic("n_tup_hot_upd"))?;
    ensure!(updates == sets, "{updates} updates of {sets} sets");
    Ok(Writes { sessions: table.keys.len(), updates, hot_updates, index_bytes_before, index_bytes_after })
}

/// Sets all sessions repeatedly with eight clients. Each client has its share of the sessions.
fn set_all(table: &Table<Database>, value: &str, period: TimeDelta) -> Result<()> {
    let store = DieselSession::<PgConnection>::builder().bounded_calls(false).connect(&table.database.url)?;
    // Visitors come in random order.
    let mut keys = table.keys.to_vec();
    fastrand::shuffle(&mut keys);
    let shares: Vec<&[SessionKey]> = keys.chunks(keys.len() / CLIENTS).collect();
    ensure!(shares.len() == CLIENTS, "the number of sessions is no multiple of {CLIENTS}");
    on_threads(CLIENTS, Amount::Operations(shares[0].len() * SETS), |client, watch| {
        while watch.goes_on() {
            let key = &shares[client][watch.laps() % shares[client].len()];
            store.set(key, value, Some(period))?;
            watch.lap();
        }
        Ok(())
    })?;
    Ok(())
}

pub(crate) fn sweeps(scale: Scale, server: &Postgres, bar: &ProgressBar) -> Result<(IdleSweep, Vec<Sweep>)> {
    bar.set_message("filling a table to sweep");
    let value = value(BASE_VALUE);
    let (live, expired) = (scale.rows(1_000_000), scale.rows(100_000));
    let table = Table::on_postgres(server.database(false)?, live, &value, Duration::from_secs(30 * 60))?;
    let idle = idle_sweep(&table.database)?;
    let store = DieselSession::<PgConnection>::builder().bounded_calls(false).connect(&table.database.url)?;
    let mut conn = table.database.connect()?;
    if server.is_throwaway() {
        // Otherwise the writes that remain from filling the table could disturb later measurements.
        conn.batch_execute("CHECKPOINT")?;
    }
    let first = live + 1;
    let mut insert_expired = || {
        // The sessions expired two hours ago or earlier.
        insert(&mut conn, &hashed(KEY), first..first + expired, &value, "-(7200 + 600 * random())")?;
        anyhow::Ok(conn.batch_execute("VACUUM ANALYZE session")?)
    };
    let sweeps = (0..scale.rounds)
        .map(|round| {
            bar.set_message(format!("round {round}: delete {expired} of {live} sessions, twice"));
            sweep(round, &store, &table.keys, expired, &mut insert_expired)
        })
        .collect::<Result<_>>()?;
    Ok((idle, sweeps))
}

fn idle_sweep(database: &Database) -> Result<IdleSweep> {
    const SEEN: &str = "SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit \
         FROM pg_statio_user_tables WHERE relname = 'session'";
    let mut conn = database.connect()?;
    // When the count stops changing, the processes that filled the table have reported.
    let mut last = -1;
    let before = reported(&mut conn, SEEN, |seen| std::mem::replace(&mut last, seen) == seen)?;
    let table_pages =
        number(&mut conn, "SELECT pg_relation_size('session') / current_setting('block_size')::bigint")?;
    let store = DieselSession::<PgConnection>::builder().pool_size(1).connect(&database.url)?;
    let deleted = store.delete_expired(PACED.0)?;
    ensure!(deleted == 0, "{deleted} sessions had expired");
    drop(store);
    let after = reported(&mut conn, SEEN, |seen| seen > before)?;
    Ok(IdleSweep { buffers: after - before, table_pages })
}

fn sweep(
    round: usize,
    store: &DieselSession<PgConnection>,
    keys: &[SessionKey],
    expired: usize,
    mut insert_expired: impl FnMut() -> Result<()>,
) -> Result<Sweep> {
    let mut swept = |manner| {
        insert_expired()?;
        let started = Instant::now();
        let (p99, deleted) = p99_while(store, keys, || delete_all_expired(store, manner))?;
        ensure!(deleted == expired, "{deleted} of {expired} expired sessions were deleted");
        anyhow::Ok((p99, started.elapsed().as_secs_f64()))
    };
    let (mut idle, mut paced, mut unpaced) = (0.0, (0.0, 0.0), (0.0, 0.0));
    let mut phases = [Phase::Idle, Phase::Paced, Phase::Unpaced];
    fastrand::shuffle(&mut phases);
    for phase in phases {
        thread::sleep(REST);
        match phase {
            Phase::Idle => {
                (idle, ()) = p99_while(store, keys, || {
                    thread::sleep(PHASE);
                    Ok(())
                })?;
            }
            Phase::Paced => paced = swept(PACED)?,
            Phase::Unpaced => unpaced = swept(UNPACED)?,
        }
    }
    let ((paced, paced_seconds), (unpaced, unpaced_seconds)) = (paced, unpaced);
    Ok(Sweep { round, deleted: expired, idle, paced, paced_seconds, unpaced, unpaced_seconds })
}

enum Phase {
    Idle,
    Paced,
    Unpaced,
}

fn delete_all_expired(store: &DieselSession<PgConnection>, (batch, pause): (u32, u32)) -> Result<usize> {
    let mut deleted = 0;
    loop {
        let started = Instant::now();
        match store.delete_expired(batch)? {
            0 => return Ok(deleted),
            some => deleted += some,
        }
        thread::sleep(started.elapsed() * pause);
    }
}

/// Returns the 99th percentile of gets while `something` runs, in microseconds, and the result of `something`.
fn p99_while<T>(
    store: &DieselSession<PgConnection>,
    keys: &[SessionKey],
    something: impl FnOnce() -> Result<T>,
) -> Result<(f64, T)> {
    let going_on = AtomicBool::new(true);
    thread::scope(|scope| {
        let gets = scope.spawn(|| gets_at_a_fixed_rate(store, keys, &going_on));
        let done = something();
        going_on.store(false, Ordering::Relaxed);
        let latencies = gets.join().map_err(|_| anyhow!("the client panicked"))??;
        Ok((percentile(&latencies, 99)? / 1e3, done?))
    })
}

/// Returns the latencies in nanoseconds, sorted.
fn gets_at_a_fixed_rate(
    store: &DieselSession<PgConnection>,
    keys: &[SessionKey],
    going_on: &AtomicBool,
) -> Result<Vec<u64>> {
    let mut random = fastrand::Rng::new();
    let mut latencies = Vec::new();
    let mut due = Instant::now();
    // At least one get, even if the other work ends at once.
    loop {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        store.get(&keys[random.usize(..keys.len())])?;
        latencies.push(u64::try_from(due.elapsed().as_nanos())?);
        due += INTERVAL;
        if !going_on.load(Ordering::Relaxed) {
            break;
        }
    }
    latencies.sort_unstable();
    Ok(latencies)
}
