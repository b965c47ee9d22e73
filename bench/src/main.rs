//! Compares `diesel-session` with other session stores and with the databases' own limits, in one run on one machine.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for the terminal")]
#![allow(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]

mod compare;
mod contenders;
mod costs;
mod figures;
mod growth;
mod mariadb;
mod plan;
mod ratios;
mod report;
mod server;
mod statements;
mod sweeps;
mod wire;
mod writes;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use figures::Measured;
use plan::Scale;
use report::environment::Environment;
use server::Postgres;

/// Measures `diesel-session` against other session stores and the databases' own limits.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compares speed in rounds: takes three quarters of an hour, or about six minutes with `--quick`.
    ///
    /// Runs on a throwaway PostgreSQL server, or on the one that `DATABASE_URL` names. Its role must be allowed to
    /// create databases. Each contender gets its own database there, except that the contenders of this crate share
    /// one. The databases are dropped afterwards. MariaDB is always a throwaway server.
    Compare(Compare),
    /// Measures tables of 10 thousand, 1 million and 10 million sessions, and an owner of 100,000. Takes about ten
    /// minutes and 10 GB.
    Growth(growth::Growth),
    /// Counts the client's instructions and allocations with valgrind, repeatably. Takes a minute or two.
    Costs,
    /// The workload that `costs` runs under valgrind.
    #[command(hide = true)]
    Workload(costs::Workload),
}

#[derive(Args)]
struct Compare {
    /// Measures only what the figures need.
    #[arg(long, conflicts_with = "plots")]
    quick: bool,
    /// Writes every figure and every round to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws throughput.svg and latency.svg into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    plots: Option<PathBuf>,
    /// How many rounds to run.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
    rounds: u8,
    /// Divides all sizes by this number: to try the program, not to get figures.
    #[arg(long, default_value_t = 1, value_name = "TIMES", value_parser = clap::value_parser!(u16).range(1..=100))]
    smaller: u16,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Compare(arguments) => compare(&arguments),
        Command::Growth(growth) => growth.run(&progress_bar(4)?),
        Command::Costs => costs::run(&progress_bar(12)?),
        Command::Workload(workload) => workload.run(),
    }
}

fn compare(arguments: &Compare) -> Result<()> {
    let scale =
        Scale { quick: arguments.quick, rounds: arguments.rounds.into(), divisor: arguments.smaller.into() };
    let plan = plan::groups(scale);
    // Created first, so that a file that cannot be written fails at the start and not at the end.
    let json = arguments.json.as_deref().map(report::create).transpose()?;
    let server = Postgres::start()?;
    let environment = Environment::look(&server, &plan)?;
    println!("{}", report::tables::environment(&environment));

    let bar = progress_bar(plan.iter().map(plan::Group::samples).sum())?;
    let mut rounds = Vec::new();
    for (number, group) in plan.iter().enumerate() {
        let measured = compare::run((number, group), scale, &server, &bar)?;
        let durability = match group.commits_wait {
            Some(true) => "commits wait for the disk",
            Some(false) => "commits do not wait for the disk",
            None => "synchronous = NORMAL",
        };
        let title = format!(
            "\n{:?}: values of {} bytes, {durability}, {} rounds",
            group.database, group.value_bytes, group.rounds
        );
        let table = report::tables::samples(group, &measured)?;
        bar.suspend(|| println!("{title}\n{table}"));
        rounds.extend(measured);
    }
    let writes = writes::writes(scale, &server, &bar)?;
    let sweeps = sweeps::sweeps(scale, &server, &bar)?;
    let traffic = wire::traffic(&server)?;
    bar.finish_and_clear();

    let measured = Measured { rounds, writes, sweeps, traffic };
    let figures = measured.figures(scale)?;
    println!("\n{}", report::tables::traffic(&measured.traffic));
    println!("\n{}", report::tables::figures(&figures));
    if let Some(file) = json {
        report::json(file, &figures, &environment, bar.elapsed(), scale, &plan, &measured)?;
    }
    if let Some(directory) = &arguments.plots {
        report::plots::write(directory, &measured.rounds, scale.base_rows())?;
    }
    Ok(())
}

/// Returns a progress bar. It writes to standard error, and only if that is a terminal.
fn progress_bar(samples: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} [{elapsed_precise}] {msg}")?;
    Ok(ProgressBar::new(samples as u64).with_style(style))
}
