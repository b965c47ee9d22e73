//! Runs the contenders in rounds. For each operation of a round, the contenders run in turn, in a new random order.

use std::rc::Rc;

use anyhow::{Context as _, Result, anyhow};
use bench_measure::{Operation, PERIOD, Sample};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::contenders::diesel_session::{Table, Threads};
use crate::contenders::pgbench::PgBench;
use crate::contenders::prepared_sqlite::Prepared;
use crate::contenders::rusqlite::Rusqlite;
use crate::contenders::sysbench::Sysbench;
use crate::contenders::tasks::Tasks;
use crate::contenders::{Contender, Name, value};
use crate::mariadb::Mariadb;
use crate::plan::{BASE_VALUE, Database, Group, Scale};
use crate::server::{File, Postgres};

/// One sample, and the conditions that it was taken under.
#[derive(Debug, Serialize)]
pub(crate) struct Round {
    pub(crate) database: Database,
    pub(crate) rows: usize,
    pub(crate) value_bytes: usize,
    pub(crate) commits_wait: Option<bool>,
    pub(crate) clients: usize,
    pub(crate) operation: Operation,
    pub(crate) contender: Name,
    /// The group's place in the plan, and the number of the round in the group. Samples with equal values were measured
    /// side by side.
    pub(crate) group_and_number: (usize, usize),
    #[serde(flatten)]
    pub(crate) sample: Sample,
}

impl Round {
    /// Whether figures and plots compare this round: small values, and no commit waits for the disk.
    pub(crate) fn is_at_base(&self) -> bool {
        self.value_bytes == BASE_VALUE && self.commits_wait != Some(true)
    }
}

pub(crate) fn run(
    (number, group): (usize, &Group),
    scale: Scale,
    server: &Postgres,
    bar: &ProgressBar,
) -> Result<Vec<Round>> {
    let mut entries = Vec::new();
    for rows in &group.rows {
        bar.set_message(format!("filling tables with {rows} sessions of {} bytes", group.value_bytes));
        let contenders = match group.database {
            Database::Postgres => on_postgres(group, *rows, server),
            Database::Sqlite => on_sqlite(group, *rows),
            Database::Mariadb => on_mariadb(group, *rows),
        };
        entries.extend(contenders?.into_iter().map(|contender| (*rows, contender)));
    }
    let mut results = Vec::with_capacity(group.samples());
    for round in 0..group.rounds {
        for (operation, clients) in &group.cells {
            fastrand::shuffle(&mut entries);
            for (rows, contender) in &mut entries {
                let name = contender.name();
                bar.set_message(format!(
                    "round {round}: {} by {clients}, {rows} rows, {name}",
                    operation.name()
                ));
                let amount = scale.amount(*operation, *clients);
                let sample = contender
                    .run(*operation, *clients, amount)
                    .with_context(|| format!("{} by {clients} clients of {name}", operation.name()))?;
                results.push(Round {
                    database: group.database,
                    rows: *rows,
                    value_bytes: group.value_bytes,
                    commits_wait: group.commits_wait,
                    clients: *clients,
                    operation: *operation,
                    contender: name,
                    group_and_number: (number, round),
                    sample,
                });
                bar.inc(1);
            }
        }
        for (_, contender) in &mut entries {
            contender.tidy()?;
        }
    }
    Ok(results)
}

fn on_postgres(group: &Group, rows: usize, server: &Postgres) -> Result<Vec<Box<dyn Contender>>> {
    let value = value(group.value_bytes);
    let database = || server.database(group.commits_wait == Some(true));
    // The contenders of this crate share a table.
    let table = Table::on_postgres(database()?, rows, &value, PERIOD)?;
    // Those of tower-sessions share another one, because their sessions have other keys and values.
    let is_tower = |name: &Name| matches!(name, Name::Tower | Name::TowerPipelined);
    let tower = if group.contenders.iter().any(is_tower) {
        Some(Table::of_tower_sessions(database()?, rows, &value)?)
    } else {
        None
    };
    group
        .contenders
        .iter()
        .map(|name| {
            let (name, table) = (*name, Rc::clone(&table));
            let contender: Box<dyn Contender> = match name {
                Name::Unbounded | Name::Bounded | Name::Held | Name::Locked => {
                    Box::new(Threads::on_postgres(name, table, &value)?)
                }
                Name::Blocking => Box::new(Tasks::blocking(table, &value)?),
                Name::Async | Name::AsyncPipelined => Box::new(Tasks::native(name, table, &value)?),
                Name::Tower | Name::TowerPipelined => {
                    let tower = tower.as_ref().context("a table for tower-sessions")?;
                    Box::new(Tasks::tower(name, Rc::clone(tower), &value)?)
                }
                Name::Sqlx | Name::SqlxUnchecked => {
                    Box::new(Tasks::on_postgres(name, database()?, rows, &value)?)
                }
                Name::Redis => Box::new(Tasks::on_redis(rows, &value)?),
                Name::Memory => Box::new(Tasks::in_memory(rows, &value)?),
                Name::PgBench | Name::PgBenchTwoThreads | Name::PgBenchPipelined => {
                    Box::new(PgBench::new(name, database()?, rows, &value)?)
                }
                Name::Prepared | Name::Rusqlite | Name::Sysbench => {
                    return Err(anyhow!("{name} does not run on PostgreSQL"));
                }
            };
            Ok(contender)
        })
        .collect()
}

fn on_sqlite(group: &Group, rows: usize) -> Result<Vec<Box<dyn Contender>>> {
    let value = value(group.value_bytes);
    group
        .contenders
        .iter()
        .map(|name| {
            let (name, file) = (*name, File::new()?);
            let contender: Box<dyn Contender> = match name {
                Name::Unbounded => Box::new(Threads::on_sqlite(file, rows, &value)?),
                Name::Sqlx | Name::SqlxUnchecked => Box::new(Tasks::on_sqlite(name, file, rows, &value)?),
                Name::Tower => Box::new(Tasks::tower_on_sqlite(file, rows, &value)?),
                Name::Rusqlite => Box::new(Rusqlite::new(file, rows, &value)?),
                Name::Prepared => Box::new(Prepared::new(file, rows, &value)?),
                name => return Err(anyhow!("{name} does not run on SQLite")),
            };
            Ok(contender)
        })
        .collect()
}

fn on_mariadb(group: &Group, rows: usize) -> Result<Vec<Box<dyn Contender>>> {
    let value = value(group.value_bytes);
    let server = Mariadb::start(group.commits_wait == Some(true))?;
    let table = Table::on_mariadb(server.database()?, rows, &value)?;
    group
        .contenders
        .iter()
        .map(|name| {
            let contender: Box<dyn Contender> = match *name {
                name @ (Name::Unbounded | Name::Bounded) => {
                    Box::new(Threads::on_mariadb(name, Rc::clone(&table), &value)?)
                }
                Name::Sqlx => Box::new(Tasks::on_mariadb(server.database()?, rows, &value)?),
                Name::Sysbench => Box::new(Sysbench::new(server.database()?, rows, &value)?),
                name => return Err(anyhow!("{name} does not run on MariaDB")),
            };
            Ok(contender)
        })
        .collect()
}
