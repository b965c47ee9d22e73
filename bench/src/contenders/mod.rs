//! Who is measured: each over a table of its own, through its own interface.

use std::time::Duration;

use anyhow::Result;

use crate::measure::{Amount, Operation, Sample};

pub(crate) mod diesel_session;
pub(crate) mod pgbench;
pub(crate) mod prepared_sqlite;
pub(crate) mod tower_sessions;

/// The most connections of a contender's pool.
pub(crate) const POOL: u32 = 8;

/// What is left of every session: no session ends while it is measured.
pub(crate) const PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// One of those who are compared.
pub(crate) trait Contender {
    /// As tables, plots and figures call it.
    fn name(&self) -> &'static str;

    /// Runs an operation by so many clients at once, on sessions drawn at random.
    fn run(&mut self, operation: Operation, clients: usize, amount: Amount) -> Result<Sample>;

    /// Clears away what the last operations left in the table, outside of any measurement.
    fn tidy(&mut self) -> Result<()>;
}

/// A session's value: no pattern in it that a database could compress.
pub(crate) fn value(bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    (0..bytes).map(|_| random.alphanumeric()).collect()
}
