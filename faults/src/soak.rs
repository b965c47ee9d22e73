//! The soak test: a long run with every store under load and repeated faults.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::scene::{Fault, Scene};

/// The options of the soak test.
#[derive(Debug, Clone, Args)]
pub struct Soak {
    /// The length of the run, in seconds.
    #[arg(long, default_value_t = 600)]
    pub seconds: u64,
    /// The URL of a PostgreSQL database that nothing else uses, as a superuser. The test then uses no throwaway server
    /// and no SQLite file. It ends connections and kills clients, but leaves the server alone.
    #[arg(long)]
    pub url: Option<String>,
}

/// The time between two faults.
const BETWEEN_FAULTS: Duration = Duration::from_secs(30);

/// The number of faults in a short run.
const FEWEST_FAULTS: u32 = 6;

const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

impl Soak {
    /// Runs the test and prints its report.
    #[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
    pub fn run(&self, program: &Path) -> Result<()> {
        let mut scene = Scene::new(self.url.as_deref(), program)?;
        let faults = if self.url.is_some() { Fault::OF_CLIENTS } else { Fault::ALL };
        let length = Duration::from_secs(self.seconds);
        let between = BETWEEN_FAULTS.min(length / FEWEST_FAULTS);
        let started = Instant::now();
        let mut next_fault = between / 2;
        let mut migrated = false;
        for fault in faults.iter().cycle() {
            while started.elapsed() < next_fault.min(length) {
                scene.look()?;
                thread::sleep(BETWEEN_LOOKS);
            }
            if started.elapsed() >= length {
                break;
            }
            println!("{:>4} s {fault:?}", started.elapsed().as_secs());
            scene.inject(*fault).with_context(|| format!("after {fault:?}"))?;
            next_fault += between;
            if !migrated && started.elapsed() >= length / 2 {
                scene.migrate().context("migrating under load")?;
                println!("{:>4} s migrated", started.elapsed().as_secs());
                migrated = true;
            }
        }
        let growth = scene.growth();
        let report = scene.end()?;
        println!("{growth}\n{report}");
        ensure!(migrated, "the run was too short for a migration in the middle: increase --seconds");
        ensure!(growth.is_known(), "too short, or the machine too slow, to see memory grow: run it longer");
        ensure!(growth.is_flat(), "memory or the number of connections has grown");
        ensure!(report.holds(), "not every acknowledged state was kept: see the report above");
        Ok(())
    }
}
