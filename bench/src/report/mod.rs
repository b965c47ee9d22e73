//! What was seen: as JSON, as tables, as plots.

pub(crate) mod environment;
pub(crate) mod plots;
pub(crate) mod tables;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::figures::{Figure, Measured};
use crate::plan::{Group, Scale};
use environment::Environment;

/// Everything, for a script to check.
#[derive(Serialize)]
struct Json<'a> {
    figures: BTreeMap<&'a str, f64>,
    /// What each figure should be, and the rounds that it is the median of.
    targets: &'a [Figure],
    environment: &'a Environment,
    scale: Scale,
    plan: &'a [Group],
    measured: &'a Measured,
}

pub(crate) fn json(
    path: &Path,
    figures: &[Figure],
    environment: &Environment,
    scale: Scale,
    plan: &[Group],
    measured: &Measured,
) -> Result<()> {
    let by_name = figures.iter().map(|figure| (figure.name.as_str(), figure.value)).collect();
    let json = Json { figures: by_name, targets: figures, environment, scale, plan, measured };
    let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
    let mut file = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut file, &json)?;
    writeln!(file)?;
    Ok(file.flush()?)
}
