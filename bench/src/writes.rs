//! How the indexes of a table in use grow.

use std::time::Duration;

use anyhow::{Result, ensure};
use bench_measure::{Amount, on_threads};
use diesel::prelude::*;
use diesel_session::{DieselSession, Now as _, SessionKey, TimeDelta};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::contenders::diesel_session::Table;
use crate::contenders::value;
use crate::plan::{BASE_VALUE, Scale};
use crate::server::{Database, Postgres, number, reported};

const CLIENTS: usize = 8;

/// How often each session is set.
const SETS: usize = 5;

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
