//! What a sweep costs: the gets beside it, and the pages that it reads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use bench_measure::percentile;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel_session::{DieselSession, Now as _, SessionKey, Sessions as _, Sweeper, TimeDelta};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::contenders::diesel_session::{KEY, Table, hashed, insert};
use crate::contenders::value;
use crate::plan::{BASE_VALUE, Scale};
use crate::server::{Database, Postgres, number, reported};

/// The time between the starts of two gets while the table is swept.
const INTERVAL: Duration = Duration::from_millis(1);

/// How long gets are measured while nothing else runs.
const PHASE: Duration = Duration::from_secs(3);

/// The pause before each phase, so that no phase is affected by the one before.
const REST: Duration = Duration::from_secs(1);

/// Sessions per batch of a sweep without pauses.
const LARGE_BATCH: u32 = 1_000;

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

/// One long sweep, and gets as in [`Sweep`]. They also run alone before it and after it.
#[derive(Debug, Serialize)]
pub(crate) struct LongSweep {
    deleted: usize,
    idle: [f64; 2],
    swept: f64,
    seconds: f64,
}

impl LongSweep {
    pub(crate) fn slowdown(&self) -> f64 {
        let [before, after] = self.idle;
        self.swept / f64::midpoint(before, after)
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

/// Everything that was measured of sweeps.
#[derive(Debug, Serialize)]
pub(crate) struct Sweeps {
    pub(crate) idle: IdleSweep,
    pub(crate) rounds: Vec<Sweep>,
    pub(crate) long: LongSweep,
}

pub(crate) fn sweeps(scale: Scale, server: &Postgres, bar: &ProgressBar) -> Result<Sweeps> {
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
    let mut insert_expired = |expired| {
        // The sessions expired two hours ago or earlier.
        insert(&mut conn, &hashed(KEY), first..first + expired, &value, "-(7200 + 600 * random())", "NULL")?;
        anyhow::Ok(conn.batch_execute("VACUUM ANALYZE session")?)
    };
    let rounds = (0..scale.rounds)
        .map(|round| {
            bar.set_message(format!("round {round}: delete {expired} of {live} sessions, twice"));
            sweep(round, &store, &table.keys, expired, &mut insert_expired)
        })
        .collect::<Result<_>>()?;
    let expired = scale.rows(1_000_000);
    bar.set_message(format!("delete {expired} sessions"));
    insert_expired(expired)?;
    Ok(Sweeps { idle, rounds, long: long_sweep(&store, &table.keys, expired)? })
}

fn long_sweep(store: &DieselSession<PgConnection>, keys: &[SessionKey], expired: usize) -> Result<LongSweep> {
    thread::sleep(REST);
    let before = p99_alone(store, keys)?;
    let started = Instant::now();
    let (swept, deleted) = p99_while(store, keys, || sweep_once(store))?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(deleted == expired, "{deleted} of {expired} expired sessions were deleted");
    Ok(LongSweep { deleted, idle: [before, p99_alone(store, keys)?], swept, seconds })
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
    let deleted = store.delete_expired(LARGE_BATCH)?;
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
    mut insert_expired: impl FnMut(usize) -> Result<()>,
) -> Result<Sweep> {
    let mut swept = |delete: fn(&DieselSession<PgConnection>) -> Result<usize>| {
        insert_expired(expired)?;
        let started = Instant::now();
        let (p99, deleted) = p99_while(store, keys, || delete(store))?;
        ensure!(deleted == expired, "{deleted} of {expired} expired sessions were deleted");
        anyhow::Ok((p99, started.elapsed().as_secs_f64()))
    };
    let (mut idle, mut paced, mut unpaced) = (0.0, (0.0, 0.0), (0.0, 0.0));
    let mut phases = [Phase::Idle, Phase::Paced, Phase::Unpaced];
    fastrand::shuffle(&mut phases);
    for phase in phases {
        thread::sleep(REST);
        match phase {
            Phase::Idle => idle = p99_alone(store, keys)?,
            Phase::Paced => paced = swept(sweep_once)?,
            Phase::Unpaced => unpaced = swept(delete_all_expired)?,
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

/// Sweeps once, as `diesel-session sweep` does.
fn sweep_once(store: &DieselSession<PgConnection>) -> Result<usize> {
    let (batch, batches) = channel();
    let failure = batch.clone();
    let _sweeper = Sweeper::builder(store.clone())
        .jitter(TimeDelta::zero())
        .on_batch(move |sessions| drop(batch.send(Ok(sessions))))
        .on_error(move |error| drop(failure.send(Err(anyhow!("the sweep failed: {error}")))))
        .start()?;
    let mut deleted = 0;
    loop {
        match batches.recv()?? {
            0 => return Ok(deleted),
            some => deleted += some,
        }
    }
}

/// Deletes in large batches, without pauses.
fn delete_all_expired(store: &DieselSession<PgConnection>) -> Result<usize> {
    let mut deleted = 0;
    loop {
        match store.delete_expired(LARGE_BATCH)? {
            0 => return Ok(deleted),
            some => deleted += some,
        }
    }
}

fn p99_alone(store: &DieselSession<PgConnection>, keys: &[SessionKey]) -> Result<f64> {
    let (p99, ()) = p99_while(store, keys, || {
        thread::sleep(PHASE);
        Ok(())
    })?;
    Ok(p99)
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
