//! The figures of the comparison. Each is computed for every round; its value is the median.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::compare::Round;
use crate::contenders::Name;
use crate::measure::{Operation, Sample, median};
use crate::plan::{Database, Scale};
use crate::sweeps::{Sweep, Sweeps};
use crate::wire::Traffic;
use crate::writes::Writes;

/// The value that a figure should have.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    Exactly(f64),
}

impl Target {
    pub(crate) fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Exactly(exactly) => (value - exactly).abs() < f64::EPSILON,
        }
    }
}

/// A figure and the rounds that it is the median of.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) target: Option<Target>,
    pub(crate) rounds: Vec<f64>,
}

impl Figure {
    fn new(name: impl Into<String>, target: Option<Target>, rounds: Vec<f64>) -> Result<Self> {
        Ok(Self { name: name.into(), value: median(rounds.clone())?, target, rounds })
    }
}

/// All measurements.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) rounds: Vec<Round>,
    pub(crate) writes: Writes,
    pub(crate) sweeps: Sweeps,
    pub(crate) traffic: Vec<Traffic>,
}

/// One contender's samples of one cell of a comparison.
#[derive(Clone, Copy)]
struct Series {
    database: Database,
    rows: usize,
    operation: Operation,
    clients: usize,
    contender: Name,
}

impl Measured {
    pub(crate) fn figures(&self, scale: Scale) -> Result<Vec<Figure>> {
        let mut figures = self.ratios(scale)?;
        figures.extend(self.others(scale)?);
        Ok(figures)
    }

    /// Returns this crate's operations per second divided by those of the other contenders.
    fn ratios(&self, scale: Scale) -> Result<Vec<Figure>> {
        use Database::{Mariadb, Postgres, Sqlite};
        use Name::{
            Async, AsyncPipelined, Blocking, Bounded, Held, Locked, PgBench, PgBenchPipelined,
            PgBenchTwoThreads, Prepared, Sqlx, SqlxUnchecked, Sysbench, Tower, TowerPipelined, Unbounded,
        };
        use Operation::{Clear, Generate, Get, Set, Update, UpdateOne};
        let rows = scale.base_rows();
        let figures = [
            ("get_vs_libpq_c1", Postgres, Get, 1, Unbounded, PgBench, Some(0.90)),
            ("get_vs_libpq_c8", Postgres, Get, 8, Unbounded, PgBench, Some(0.90)),
            ("set_vs_libpq_c1", Postgres, Set, 1, Unbounded, PgBench, Some(0.90)),
            ("set_vs_libpq_c8", Postgres, Set, 8, Unbounded, PgBench, Some(0.90)),
            ("generate_vs_libpq_c8", Postgres, Generate, 8, Unbounded, PgBench, None),
            ("clear_vs_libpq_c8", Postgres, Clear, 8, Unbounded, PgBench, None),
            ("get_vs_sqlx_c8", Postgres, Get, 8, Unbounded, Sqlx, Some(1.7)),
            ("set_vs_sqlx_c8", Postgres, Set, 8, Unbounded, Sqlx, Some(1.6)),
            ("generate_vs_sqlx_c8", Postgres, Generate, 8, Unbounded, Sqlx, Some(2.5)),
            ("clear_vs_sqlx_c8", Postgres, Clear, 8, Unbounded, Sqlx, Some(1.4)),
            ("get_vs_sqlx_unchecked_c8", Postgres, Get, 8, Unbounded, SqlxUnchecked, None),
            ("set_vs_sqlx_unchecked_c8", Postgres, Set, 8, Unbounded, SqlxUnchecked, None),
            ("async_get_vs_sqlx_c8", Postgres, Get, 8, Tower, Sqlx, Some(1.7)),
            ("async_set_vs_sqlx_c8", Postgres, Set, 8, Tower, Sqlx, Some(1.6)),
            ("async_generate_vs_sqlx_c8", Postgres, Generate, 8, Tower, Sqlx, Some(2.5)),
            ("async_clear_vs_sqlx_c8", Postgres, Clear, 8, Tower, Sqlx, None),
            ("async_pipelined_get_vs_sqlx_c32", Postgres, Get, 32, TowerPipelined, Sqlx, Some(2.5)),
            ("async_pipelined_get_vs_libpq_c32", Postgres, Get, 32, AsyncPipelined, PgBench, Some(1.2)),
            (
                "async_pipelined_get_vs_libpq_two_threads_c32",
                Postgres,
                Get,
                32,
                AsyncPipelined,
                PgBenchTwoThreads,
                None,
            ),
            (
                "async_pipelined_get_vs_libpq_pipelined_c32",
                Postgres,
                Get,
                32,
                AsyncPipelined,
                PgBenchPipelined,
                None,
            ),
            ("async_get_vs_libpq_c8", Postgres, Get, 8, Async, PgBench, None),
            ("async_pipelined_get_vs_libpq_c8", Postgres, Get, 8, AsyncPipelined, PgBench, None),
            ("async_set_vs_libpq_c8", Postgres, Set, 8, Async, PgBench, None),
            ("async_get_vs_libpq_c32", Postgres, Get, 32, Async, PgBench, None),
            ("async_get_vs_sqlx_c32", Postgres, Get, 32, Tower, Sqlx, None),
            ("async_set_vs_sqlx_c32", Postgres, Set, 32, Tower, Sqlx, None),
            ("get_vs_libpq_c1_bounded", Postgres, Get, 1, Bounded, PgBench, None),
            ("get_vs_libpq_c8_bounded", Postgres, Get, 8, Bounded, PgBench, Some(0.70)),
            ("set_vs_libpq_c1_bounded", Postgres, Set, 1, Bounded, PgBench, None),
            ("set_vs_libpq_c8_bounded", Postgres, Set, 8, Bounded, PgBench, Some(0.80)),
            ("blocking_get_vs_store_c8", Postgres, Get, 8, Blocking, Bounded, None),
            ("blocking_set_vs_store_c8", Postgres, Set, 8, Blocking, Bounded, None),
            ("update_vs_before_c8", Postgres, Update, 8, Unbounded, Locked, None),
            ("update_one_vs_before_c8", Postgres, UpdateOne, 8, Unbounded, Locked, None),
            ("get_vs_sqlx_c8_bounded", Postgres, Get, 8, Bounded, Sqlx, None),
            ("set_vs_sqlx_c8_bounded", Postgres, Set, 8, Bounded, Sqlx, None),
            ("generate_vs_sqlx_c8_bounded", Postgres, Generate, 8, Bounded, Sqlx, None),
            ("clear_vs_sqlx_c8_bounded", Postgres, Clear, 8, Bounded, Sqlx, None),
            ("get_vs_libpq_c8_held", Postgres, Get, 8, Held, PgBench, None),
            ("set_vs_libpq_c8_held", Postgres, Set, 8, Held, PgBench, None),
            ("get_vs_libpq_two_threads_c8", Postgres, Get, 8, Unbounded, PgBenchTwoThreads, None),
            ("set_vs_libpq_two_threads_c8", Postgres, Set, 8, Unbounded, PgBenchTwoThreads, None),
            ("sqlite_get_vs_sqlx_c8", Sqlite, Get, 8, Unbounded, Sqlx, Some(2.0)),
            ("sqlite_set_vs_sqlx_c8", Sqlite, Set, 8, Unbounded, Sqlx, Some(2.0)),
            ("sqlite_get_vs_sqlx_unchecked_c8", Sqlite, Get, 8, Unbounded, SqlxUnchecked, None),
            ("sqlite_set_vs_sqlx_unchecked_c8", Sqlite, Set, 8, Unbounded, SqlxUnchecked, None),
            ("sqlite_get_vs_prepared_c8", Sqlite, Get, 8, Unbounded, Prepared, None),
            ("sqlite_set_vs_prepared_c8", Sqlite, Set, 8, Unbounded, Prepared, None),
            ("sqlite_set_prepared_vs_sqlx_c8", Sqlite, Set, 8, Prepared, Sqlx, None),
            ("mariadb_get_vs_sqlx_c8", Mariadb, Get, 8, Unbounded, Sqlx, Some(1.7)),
            ("mariadb_set_vs_sqlx_c8", Mariadb, Set, 8, Unbounded, Sqlx, Some(1.4)),
            ("mariadb_get_vs_prepared_c8", Mariadb, Get, 8, Unbounded, Sysbench, Some(0.80)),
            ("mariadb_set_vs_prepared_c8", Mariadb, Set, 8, Unbounded, Sysbench, Some(0.90)),
            ("mariadb_get_vs_sqlx_c8_bounded", Mariadb, Get, 8, Bounded, Sqlx, None),
            ("mariadb_set_vs_sqlx_c8_bounded", Mariadb, Set, 8, Bounded, Sqlx, None),
            ("mariadb_get_vs_prepared_c8_bounded", Mariadb, Get, 8, Bounded, Sysbench, None),
            ("mariadb_set_vs_prepared_c8_bounded", Mariadb, Set, 8, Bounded, Sysbench, None),
            ("mariadb_generate_vs_sqlx_c8", Mariadb, Generate, 8, Unbounded, Sqlx, None),
            ("mariadb_clear_vs_sqlx_c8", Mariadb, Clear, 8, Unbounded, Sqlx, None),
        ];
        let mut ratios = Vec::new();
        for (name, database, operation, clients, ours, theirs, least) in figures {
            let of = |contender| Series { database, rows, operation, clients, contender };
            let ratio = self.ratio(of(ours), of(theirs), |sample| sample.operations_per_second);
            // Some contenders run only in the full plan. Figures with a target are in every plan.
            if least.is_some() || !ratio.is_empty() {
                ratios.push(Figure::new(name, least.map(Target::AtLeast), ratio)?);
            }
        }
        Ok(ratios)
    }

    fn others(&self, scale: Scale) -> Result<Vec<Figure>> {
        use Target::{AtLeast, AtMost, Exactly};
        let by_rows = |rows| Series {
            database: Database::Postgres,
            rows: scale.rows(rows),
            operation: Operation::Get,
            clients: 1,
            contender: Name::Unbounded,
        };
        let latency = self.ratio(by_rows(1_000_000), by_rows(10_000), |sample| sample.latency_p50);
        let mut figures = vec![Figure::new("get_latency_1m_vs_10k", Some(AtMost(1.3)), latency)?];
        for traffic in &self.traffic {
            let name = format!("round_trips_{}", traffic.operation.name());
            let (name, target) = match traffic.contender {
                Name::Unbounded if traffic.operation == Operation::Update => {
                    ("update_round_trips".to_owned(), Some(Exactly(2.0)))
                }
                Name::Locked => ("update_round_trips_before".to_owned(), None),
                Name::Unbounded => (name, Some(Exactly(1.0))),
                Name::Bounded => (format!("{name}_bounded"), None),
                Name::Tower => (format!("{name}_async"), None),
                _ => (format!("{name}_sqlx"), None),
            };
            figures.push(Figure::new(name, target, vec![traffic.round_trips])?);
        }
        let paced = self.sweeps.rounds.iter().map(Sweep::slowdown).collect();
        let unpaced = self.sweeps.rounds.iter().map(Sweep::slowdown_unpaced).collect();
        figures.extend([
            Figure::new("hot_share", Some(AtLeast(0.95)), vec![self.writes.hot_share()])?,
            Figure::new("index_growth", Some(AtMost(0.05)), vec![self.writes.index_growth()])?,
            Figure::new("get_p99_during_delete_expired_vs_idle", Some(AtMost(2.0)), paced)?,
            Figure::new("get_p99_during_delete_expired_vs_idle_unpaced", None, unpaced)?,
            Figure::new(
                "get_p99_during_long_sweep_vs_idle",
                Some(AtMost(2.0)),
                vec![self.sweeps.long.slowdown()],
            )?,
            Figure::new("idle_sweep_buffers_share", Some(AtMost(0.01)), vec![self.sweeps.idle.share()])?,
        ]);
        Ok(figures)
    }

    /// Returns the ratio of each round at the base size of values and without durable commits.
    fn ratio(&self, ours: Series, theirs: Series, of: impl Fn(&Sample) -> f64) -> Vec<f64> {
        let (ours, theirs) = (self.series(ours, &of), self.series(theirs, &of));
        ours.iter().filter_map(|(round, ours)| Some(ours / theirs.get(round)?)).collect()
    }

    fn series(&self, series: Series, of: impl Fn(&Sample) -> f64) -> BTreeMap<(usize, usize), f64> {
        self.rounds
            .iter()
            .filter(|round| {
                round.database == series.database
                    && round.rows == series.rows
                    && round.operation == series.operation
                    && round.clients == series.clients
                    && round.contender == series.contender
                    && round.is_at_base()
            })
            .map(|round| (round.group_and_number, of(&round.sample)))
            .collect()
    }
}
