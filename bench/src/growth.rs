//! How each operation grows with the table, and with the sessions of one owner.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bench_measure::{PERIOD, percentile};
use clap::Args;
use comfy_table::Table as Printed;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel_session::{DieselSession, Now as _, SessionKey, Sessions as _, TimeDelta};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::contenders::diesel_session::{KEY, fill, hashed, insert};
use crate::contenders::value;
use crate::plan::BASE_VALUE;
use crate::report;
use crate::report::tables::table;
use crate::server::{Database, Postgres};

/// Sessions of each owner, but one.
const EACH: usize = 10;

/// Sessions of the one owner who has many, in the last table.
const MANY: usize = 100_000;

/// Expired sessions that a sweep deletes at once, and how many sweeps there are.
const BATCH: u32 = 1_000;
const SWEEPS: usize = 10;

/// How often the other operations run.
const RUNS: usize = 2_000;

/// Measures tables of several sizes.
#[derive(Args)]
pub(crate) struct Growth {
    /// Writes every time to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Divides all sizes by this number: to try the program, not to get figures.
    #[arg(long, default_value_t = 1, value_name = "TIMES", value_parser = clap::value_parser!(u16).range(1..=100))]
    smaller: u16,
}

/// The times of one operation in one table, in microseconds.
#[derive(Debug, Serialize)]
struct Times {
    sessions: usize,
    operation: &'static str,
    runs: usize,
    p50: f64,
    p99: f64,
}

impl Growth {
    pub(crate) fn run(&self, bar: &ProgressBar) -> Result<()> {
        let json = self.json.as_deref().map(report::create).transpose()?;
        let server = Postgres::start()?;
        let smaller = |number: usize| number / usize::from(self.smaller);
        let mut times = Vec::new();
        for sessions in [10_000, 1_000_000, 10_000_000].map(smaller) {
            bar.set_message(format!("{sessions} sessions"));
            times.extend(Table::new(&server, sessions, 0)?.times(smaller(RUNS))?);
            bar.inc(1);
        }
        bar.set_message("an owner of many sessions");
        let (owned, many) = (smaller(100_000), smaller(MANY));
        times.extend(Table::new(&server, owned, many)?.times_of_many()?);
        bar.finish_and_clear();
        println!("{}", printed(&times));
        if let Some(mut file) = json {
            serde_json::to_writer_pretty(&mut file, &times)?;
            writeln!(file)?;
        }
        Ok(())
    }
}

fn printed(times: &[Times]) -> Printed {
    let mut table = table(&["operation", "sessions", "runs", "p50 µs", "p99 µs"]);
    for Times { sessions, operation, runs, p50, p99 } in times {
        table.add_row([
            (*operation).to_owned(),
            sessions.to_string(),
            runs.to_string(),
            format!("{p50:.0}"),
            format!("{p99:.0}"),
        ]);
    }
    table
}

/// A table with sessions in random order. Each owner has ten of them, and one owner may have many more.
struct Table {
    store: DieselSession<PgConnection>,
    /// The sessions of owners of ten.
    sessions: usize,
    many: usize,
    value: String,
    /// Dropped last, which drops the database.
    _database: Database,
}

impl Table {
    fn new(server: &Postgres, sessions: usize, many: usize) -> Result<Self> {
        let (database, value) = (server.database(false)?, value(BASE_VALUE));
        let owner = format!("CASE WHEN n > {sessions} THEN 'many' ELSE 'owner ' || (n - 1) / {EACH} END");
        fill(&database, |conn| {
            let live = sessions + many;
            let key = hashed(KEY);
            insert(conn, &key, 1..live + 1, &value, &PERIOD.as_secs().to_string(), &owner)?;
            // Of no owner. They expired three hours ago.
            let expired = live + 1..live + 1 + SWEEPS * BATCH as usize;
            insert(conn, &key, expired, &value, "-3 * 60 * 60", "NULL")
        })?;
        if server.is_throwaway() {
            database.connect()?.batch_execute("CHECKPOINT")?;
        }
        let builder = DieselSession::<PgConnection>::builder().bounded_calls(false).pool_size(1);
        let store = builder.connect(&database.url)?;
        Ok(Self { _database: database, store, sessions, many, value })
    }

    fn times(&self, runs: usize) -> Result<Vec<Times>> {
        let (store, value) = (&self.store, self.value.as_str());
        let period = Some(TimeDelta::from_std(PERIOD)?);
        let key =
            || -> Result<SessionKey> { Ok(format!("{:040}", fastrand::usize(1..=self.sessions)).parse()?) };
        let owner = || format!("owner {}", fastrand::usize(..self.sessions / EACH));
        let times = vec![
            self.time("get", runs, || {
                store.get(&key()?)?;
                Ok(())
            })?,
            self.time("set", runs, || Ok(store.set(&key()?, value, period)?))?,
            self.time("generate_for", runs, || {
                store.generate_for(&owner(), Some(value), period)?;
                Ok(())
            })?,
            self.time("sessions_of an owner of 10", runs, || {
                let found = store.sessions_of(&owner(), 100)?;
                ensure!(found.len() >= EACH, "{} sessions", found.len());
                Ok(())
            })?,
            self.time("delete_expired of 1,000", SWEEPS, || {
                let deleted = store.delete_expired(BATCH)?;
                ensure!(deleted == BATCH as usize, "{deleted} were deleted");
                Ok(())
            })?,
            // Last, because they delete what the others look for.
            self.time("clear_owner of 10", runs.min(self.sessions / EACH / 4), {
                let mut next = 0;
                move || {
                    next += 1;
                    store.clear_owner(&format!("owner {next}"), None)?;
                    Ok(())
                }
            })?,
        ];
        Ok(times)
    }

    fn times_of_many(&self) -> Result<Vec<Times>> {
        let (store, value) = (&self.store, self.value.as_str());
        let period = Some(TimeDelta::from_std(PERIOD)?);
        let times = vec![
            self.time("generate_for an owner of many", 200, || {
                store.generate_for("many", Some(value), period)?;
                Ok(())
            })?,
            self.time("sessions_of an owner of many", 200, || {
                let found = store.sessions_of("many", 100)?;
                ensure!(found.len() == 100, "{} sessions", found.len());
                Ok(())
            })?,
            self.time("clear_owner of many", 1, || {
                let ended = store.clear_owner("many", None)?;
                ensure!(ended >= self.many, "{ended} were ended");
                Ok(())
            })?,
        ];
        Ok(times)
    }

    fn time(
        &self,
        operation: &'static str,
        runs: usize,
        mut work: impl FnMut() -> Result<()>,
    ) -> Result<Times> {
        ensure!(runs > 0, "no runs of {operation}");
        let mut nanoseconds = Vec::with_capacity(runs);
        for _ in 0..runs {
            let started = Instant::now();
            work().context(operation)?;
            nanoseconds.push(u64::try_from(started.elapsed().as_nanos())?);
        }
        nanoseconds.sort_unstable();
        let microseconds = |percent| anyhow::Ok(percentile(&nanoseconds, percent)? / 1e3);
        let (p50, p99) = (microseconds(50)?, microseconds(99)?);
        Ok(Times { sessions: self.sessions + self.many, operation, runs, p50, p99 })
    }
}
