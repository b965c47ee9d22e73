//! The store of `tower-sessions-rusqlite-store`, in another program.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use bench_measure::{Amount, Beginning, Operation, Request, Sample};
use serde::Serialize;

use super::{Contender, Name};
use crate::server::{File, Tidy as _};

/// A contender with one connection, which has one thread. The store has no pool.
pub(crate) struct Rusqlite {
    /// Ends when its standard input ends.
    program: Child,
    requests: Option<ChildStdin>,
    samples: BufReader<ChildStdout>,
    file: File,
}

impl Rusqlite {
    pub(crate) fn new(file: File, rows: usize, value: &str) -> Result<Self> {
        let mut program = built()?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let requests = program.stdin.take();
        let samples = BufReader::new(program.stdout.take().context("a pipe")?);
        let mut rusqlite = Self { program, requests, samples, file };
        let file = rusqlite.file.path();
        rusqlite.ask(&Beginning { file, rows, value: value.to_owned() })?;
        Ok(rusqlite)
    }

    /// Sends a line and returns the answer.
    fn ask(&mut self, question: &impl Serialize) -> Result<String> {
        let requests = self.requests.as_mut().context("a pipe")?;
        writeln!(requests, "{}", serde_json::to_string(question)?)?;
        let mut answer = String::new();
        let read = self.samples.read_line(&mut answer)?;
        ensure!(read > 0, "the program of tower-sessions-rusqlite-store has failed");
        Ok(answer)
    }
}

/// Builds the program with the profile of this one, in a directory beside this one's, and returns the command to run
/// it.
fn built() -> Result<Command> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("rusqlite");
    let target = std::env::current_exe()?.ancestors().nth(2).context("a target directory")?.join("rusqlite");
    let (profile, directory) = if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--profile", profile, "--target-dir"])
        .arg(&target)
        .current_dir(package)
        .status()?;
    ensure!(built.success(), "cargo could not build bench/rusqlite");
    Ok(Command::new(target.join(directory).join("bench-rusqlite")))
}

impl Contender for Rusqlite {
    fn name(&self) -> Name {
        Name::Rusqlite
    }

    fn run(&mut self, operation: Operation, clients: usize, amount: Amount) -> Result<Sample> {
        let request: Request = (operation, clients, amount);
        Ok(serde_json::from_str(&self.ask(&request)?)?)
    }

    fn tidy(&mut self) -> Result<()> {
        self.file.tidy()
    }
}

impl Drop for Rusqlite {
    fn drop(&mut self) {
        self.requests = None;
        if let Err(failed) = self.program.wait() {
            eprintln!("the program of tower-sessions-rusqlite-store: {failed}");
        }
    }
}
