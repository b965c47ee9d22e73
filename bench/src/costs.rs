//! Costs that repeat exactly, whatever else the machine does: instructions counted by callgrind, allocations
//! by memcheck.
//!
//! The program runs itself under valgrind, once with few operations and once with more: what is between
//! the two belongs to the operations alone.

use std::hint::black_box;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::ValueEnum;
use comfy_table::Table;
use diesel::prelude::*;
use diesel_session::{DieselSession, KeyStorage, MemorySession, Now, SessionKey};
use serde::Serialize;

use crate::contenders::value;
use crate::measure::Operation;
use crate::server::Postgres;

/// Operations of the shorter run, and of the longer.
const FEW: usize = 100;
const MANY: usize = 600;

/// Where the operations run.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
pub(crate) enum Store {
    Memory,
    Sqlite,
    SqlitePlain,
    Postgres,
}
