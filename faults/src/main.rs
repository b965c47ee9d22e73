//! Runs a client of the fault tests, or the soak test.

use anyhow::Result;
use clap::Parser;
use diesel_session_faults::{Orders, Soak};

#[derive(Debug, Parser)]
enum Command {
    /// Loads a store until standard input ends. For tests.
    Client {
        /// The orders, in JSON.
        orders: String,
    },
    /// Loads every store and breaks things at the same time. Fails if anything acknowledged is missing at the end.
    Soak(Soak),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Client { orders } => serde_json::from_str::<Orders>(&orders)?.run(),
        Command::Soak(soak) => soak.run(&std::env::current_exe()?),
    }
}
