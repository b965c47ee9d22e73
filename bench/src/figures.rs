//! The figures of the comparison. Each is computed for every round; its value is the median.

use std::collections::BTreeMap;

use anyhow::Result;
use bench_measure::{Operation, Sample, median};
use serde::Serialize;

use crate::compare::Round;
use crate::contenders::Name;
use crate::plan::{Database, Scale};
use crate::ratios::RATIOS;
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
        let rows = scale.base_rows();
        let mut ratios = Vec::new();
        for (name, database, operation, clients, ours, theirs, least) in RATIOS.iter().copied() {
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
