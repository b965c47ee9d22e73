//! The figures that the comparison is about, each out of rounds: computed round by round, then the median.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::compare::Round;
use crate::contenders::diesel_session::{BOUNDED, HELD, UNBOUNDED};
use crate::contenders::{pgbench, prepared_sqlite, tower_sessions};
use crate::measure::{Operation, Sample, median};
use crate::plan::{Database, Scale};
use crate::upkeep::{IdleSweep, Sweep, Writes};
use crate::wire::Traffic;

/// What a figure should be.
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

/// A figure, and what it is the median of.
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

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) rounds: Vec<Round>,
    pub(crate) writes: Writes,
    pub(crate) idle_sweep: IdleSweep,
    pub(crate) sweeps: Vec<Sweep>,
    pub(crate) traffic: Vec<Traffic>,
}

/// One contender's samples of one cell of a comparison.
#[derive(Clone, Copy)]
struct Series {
    database: Database,
    rows: usize,
    operation: Operation,
    clients: usize,
    contender: &'static str,
}

impl Measured {
    pub(crate) fn figures(&self, scale: Scale) -> Result<Vec<Figure>> {
        let mut figures = self.ratios(scale)?;
        figures.extend(self.others(scale)?);
        Ok(figures)
    }

    /// Operations per second of ours by those of the others.
    fn ratios(&self, scale: Scale) -> Result<Vec<Figure>> {
        use Operation::{Clear, Generate, Get, Set};
        use Target::AtLeast;
        let targets = [
            ("get_vs_libpq_c1", pgbench::NAME, Get, 1, Some(AtLeast(0.90))),
            ("get_vs_libpq_c8", pgbench::NAME, Get, 8, Some(AtLeast(0.90))),
            ("set_vs_libpq_c1", pgbench::NAME, Set, 1, Some(AtLeast(0.90))),
            ("set_vs_libpq_c8", pgbench::NAME, Set, 8, Some(AtLeast(0.90))),
            ("generate_vs_libpq_c8", pgbench::NAME, Generate, 8, None),
            ("clear_vs_libpq_c8", pgbench::NAME, Clear, 8, None),
            ("get_vs_sqlx_c8", tower_sessions::NAME, Get, 8, Some(AtLeast(1.7))),
            ("set_vs_sqlx_c8", tower_sessions::NAME, Set, 8, Some(AtLeast(1.6))),
            ("generate_vs_sqlx_c8", tower_sessions::NAME, Generate, 8, Some(AtLeast(2.5))),
            ("clear_vs_sqlx_c8", tower_sessions::NAME, Clear, 8, Some(AtLeast(1.4))),
        ];
        let on_sqlite = [
            ("sqlite_get_vs_sqlx_c8", tower_sessions::NAME, Get, Some(AtLeast(2.0))),
            ("sqlite_set_vs_sqlx_c8", tower_sessions::NAME, Set, Some(AtLeast(2.0))),
            ("sqlite_get_vs_prepared_c8", prepared_sqlite::NAME, Get, None),
            ("sqlite_set_vs_prepared_c8", prepared_sqlite::NAME, Set, None),
        ];
        let on_eight_connections = [
            ("get_held_vs_libpq_c8", HELD, pgbench::NAME, Get),
            ("set_held_vs_libpq_c8", HELD, pgbench::NAME, Set),
            ("get_vs_libpq_two_threads_c8", UNBOUNDED, pgbench::TWO_THREADS, Get),
            ("set_vs_libpq_two_threads_c8", UNBOUNDED, pgbench::TWO_THREADS, Set),
        ];
        let rows = scale.base_rows();
        let faster = |sample: &Sample| sample.operations_per_second;
        let mut figures = Vec::new();
        for (name, other, operation, clients, target) in targets {
            let of = |contender| Series { database: Database::Postgres, rows, operation, clients, contender };
            let ratios = self.ratio(of(UNBOUNDED), of(other), faster);
            figures.push(Figure::new(name, target, ratios)?);
            let ratios = self.ratio(of(BOUNDED), of(other), faster);
            figures.push(Figure::new(format!("{name}_bounded"), None, ratios)?);
        }
        for (name, ours, other, operation) in on_eight_connections {
            let of =
                |contender| Series { database: Database::Postgres, rows, operation, clients: 8, contender };
            let ratios = self.ratio(of(ours), of(other), faster);
            // Of the full plan only.
            if !ratios.is_empty() {
                figures.push(Figure::new(name, None, ratios)?);
            }
        }
        for (name, other, operation, target) in on_sqlite {
            let of =
                |contender| Series { database: Database::Sqlite, rows, operation, clients: 8, contender };
            figures.push(Figure::new(name, target, self.ratio(of(UNBOUNDED), of(other), faster))?);
        }
        Ok(figures)
    }

    fn others(&self, scale: Scale) -> Result<Vec<Figure>> {
        use Target::{AtLeast, AtMost, Exactly};
        let by_rows = |rows| Series {
            database: Database::Postgres,
            rows: scale.rows(rows),
            operation: Operation::Get,
            clients: 1,
            contender: UNBOUNDED,
        };
        let latency = self.ratio(by_rows(1_000_000), by_rows(10_000), |sample| sample.latency_p50);
        let mut figures = vec![Figure::new("get_latency_1m_vs_10k", Some(AtMost(1.3)), latency)?];
        for traffic in self.traffic.iter().filter(|traffic| traffic.contender == UNBOUNDED) {
            let name = format!("round_trips_{}", traffic.operation.name());
            figures.push(Figure::new(name, Some(Exactly(1.0)), vec![traffic.round_trips])?);
        }
        let slowdown = self.sweeps.iter().map(Sweep::slowdown).collect();
        let by_computing = self.sweeps.iter().map(Sweep::slowdown_by_computing).collect();
        figures.extend([
            Figure::new("hot_share", Some(AtLeast(0.95)), vec![self.writes.hot_share()])?,
            Figure::new("index_growth", Some(AtMost(0.05)), vec![self.writes.index_growth()])?,
            Figure::new("get_p99_during_delete_expired_vs_idle", Some(AtMost(2.0)), slowdown)?,
            Figure::new("get_p99_during_computing_vs_idle", None, by_computing)?,
            Figure::new("idle_sweep_buffers_share", Some(AtMost(0.01)), vec![self.idle_sweep.share()])?,
        ]);
        Ok(figures)
    }

    /// Round by round, at the values' and the durability's base.
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
