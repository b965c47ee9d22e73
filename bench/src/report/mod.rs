//! Reports the results as JSON, tables and plots.

pub(crate) mod environment;
pub(crate) mod plots;
pub(crate) mod tables;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::figures::{Figure, Measured};
use crate::plan::{Group, Scale};
use environment::Environment;

/// The whole result, for scripts.
#[derive(Serialize)]
struct Json<'a> {
    figures: BTreeMap<&'a str, f64>,
    /// The target of each figure, and the rounds that it is the median of.
    by_round: &'a [Figure],
    environment: &'a Environment,
    elapsed_seconds: u64,
    scale: Scale,
    plan: &'a [Group],
    measured: &'a Measured,
}

pub(crate) fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("writing {}", path.display()))
}

pub(crate) fn json(
    file: File,
    figures: &[Figure],
    environment: &Environment,
    elapsed: Duration,
    scale: Scale,
    plan: &[Group],
    measured: &Measured,
) -> Result<()> {
    let by_name = figures.iter().map(|figure| (figure.name.as_str(), figure.value)).collect();
    let elapsed_seconds = elapsed.as_secs();
    let json =
        Json { figures: by_name, by_round: figures, environment, elapsed_seconds, scale, plan, measured };
    let mut file = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut file, &json)?;
    writeln!(file)?;
    Ok(file.flush()?)
}
