//! The clients of the fault tests, and the soak.

use anyhow::Result;
use clap::Parser;
use diesel_session_faults::{Orders, Soak};

#[derive(Debug, Parser)]
enum Command {
    /// Loads a store until standard input ends; for tests.
    Client {
        /// In JSON.
        orders: String,
    },
    /// Loads every store for a while and breaks things meanwhile; fails where anything acknowledged is not there.
    Soak(Soak),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Client { orders } => serde_json::from_str::<Orders>(&orders)?.run(),
        Command::Soak(soak) => soak.run(&std::env::current_exe()?),
    }
}
