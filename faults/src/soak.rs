//! A long run: every store under load at once, and something broken again and again.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::scene::{Fault, Scene};

/// How long, and on what.
#[derive(Debug, Clone, Args)]
pub struct Soak {
    /// How long the load falls, in seconds.
    #[arg(long, default_value_t = 600)]
    pub seconds: u64,
    /// A PostgreSQL database of nobody else's, as its superuser, instead of a throwaway server and an SQLite file: its
    /// server is not broken, but connections and clients are.
    #[arg(long)]
    pub url: Option<String>,
}

/// Something is broken as often.
const BETWEEN_FAULTS: Duration = Duration::from_secs(30);

/// In a short run, so often in all.
const FEWEST_FAULTS: u32 = 6;

const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

impl Soak {
    /// Runs it, and prints what came of it.
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
        ensure!(migrated, "too short for a migration in the middle");
        ensure!(growth.is_known(), "too short, or the machine too slow, to see memory grow");
        ensure!(growth.is_flat(), "memory or connections have grown");
        ensure!(report.holds(), "not everything was kept");
        Ok(())
    }
}
