//! `diesel-session`, the operator's command.

#[cfg(not(any(feature = "mysql", feature = "postgres", feature = "sqlite")))]
compile_error!("the command needs a database: add the feature `postgres`, `sqlite` or `mysql`");

mod arguments;
mod commands;
mod database;
mod failure;
mod inspect;
mod screen;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command, DatabaseArguments, DatabaseCommand};
use crate::database::{Database, Purpose, Target};
use crate::failure::Failure;
use crate::inspect::Inspect;

/// The status of a program that SIGPIPE has ended.
const CLOSED_PIPE: u8 = 141;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(status) => status,
        Err(failure) if failure.is_closed_pipe() => ExitCode::from(CLOSED_PIPE),
        Err(failure) => {
            // If even this cannot be written, the status says it.
            let _written = screen::remark(&format!("diesel-session: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::OnDatabase(command) => return on_database(&arguments.database, command),
        Command::Completions { shell } => commands::completions(*shell)?,
        Command::Man => commands::manual()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn on_database(database: &DatabaseArguments, command: &DatabaseCommand) -> Result<ExitCode, Failure> {
    #[cfg(feature = "postgres")]
    if let DatabaseCommand::Doctor(doctor) = command {
        if let Some(status) = commands::doctor_before_connecting(database, doctor)? {
            return Ok(status);
        }
    }
    let purpose = match command {
        DatabaseCommand::Migrate { dry_run: false } => Purpose::Creation,
        _ => Purpose::Sessions,
    };
    let connected = match (Database::connect(database, purpose), command) {
        (Err(failure @ Failure::Sessions(_)), DatabaseCommand::Doctor(doctor)) => {
            return commands::no_patient(&failure, doctor);
        }
        (connected, _) => connected?,
    };
    match connected {
        #[cfg(feature = "mysql")]
        Database::Mysql(target) => on_any(&target, database, command),
        #[cfg(feature = "postgres")]
        Database::Postgres(target) => match command {
            DatabaseCommand::Adopt { dry_run, question } => {
                commands::adopt(&target, *dry_run, question).map(|()| ExitCode::SUCCESS)
            }
            command => on_any(&target, database, command),
        },
        #[cfg(feature = "sqlite")]
        Database::Sqlite(target) => on_any(&target, database, command),
    }
}

fn on_any<C: Inspect>(
    target: &Target<C>,
    database: &DatabaseArguments,
    command: &DatabaseCommand,
) -> Result<ExitCode, Failure> {
    match command {
        DatabaseCommand::Migrate { dry_run } => commands::migrate(target, *dry_run)?,
        DatabaseCommand::Check => commands::check(target)?,
        DatabaseCommand::Revert { dry_run, question } => commands::revert(target, *dry_run, question)?,
        DatabaseCommand::Adopt { .. } => {
            return Err(Failure::refused("only a table on PostgreSQL can be adopted"));
        }
        DatabaseCommand::Stats(stats) => commands::stats(target, stats)?,
        DatabaseCommand::Doctor(doctor) => return commands::doctor(target, doctor),
        DatabaseCommand::List(list) => commands::list(&target.store, list)?,
        DatabaseCommand::End(end) => commands::end(&target.store, end)?,
        DatabaseCommand::Import(import) => commands::import(&target.store, database, import)?,
        DatabaseCommand::Sweep(sweep) => commands::sweep(&target.store, sweep)?,
    }
    Ok(ExitCode::SUCCESS)
}
