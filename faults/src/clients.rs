//! Client processes, which a test can kill, and the ledger of all their calls.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::client::Orders;
use crate::event::Event;
use crate::ledger::Ledger;
use crate::report::Report;
use crate::store::Store;
use crate::target::Target;

/// How long a test waits for an event. This is much longer than a call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running clients and their ledger.
#[derive(Debug)]
pub struct Clients {
    program: PathBuf,
    ledger: Arc<Mutex<Ledger>>,
    running: Vec<Running>,
    started: u64,
    value_size: usize,
}

#[derive(Debug)]
struct Running {
    number: u64,
    child: Child,
    input: Option<ChildStdin>,
    reader: Option<JoinHandle<Result<()>>>,
}

impl Clients {
    /// Starts with no clients. `program` is the path of this crate's program. The clients' values have `value_size`
    /// bytes and a few more.
    #[must_use]
    pub fn new(program: &Path, value_size: usize) -> Self {
        Self {
            program: program.to_owned(),
            ledger: Arc::new(Mutex::new(Ledger::new(value_size))),
            running: Vec::new(),
            started: 0,
            value_size,
        }
    }

    /// Makes clients that start from now on run another program: one of an earlier version with the same record format.
    pub fn run_program(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// Starts another client with `threads` threads.
    pub fn start(&mut self, store: &Store, threads: usize) -> Result<()> {
        let number = self.started;
        let orders =
            Orders { store: store.clone(), value_size: self.value_size, first_session: number << 32 };
        self.started += 1;
        let mut child = Command::new(&self.program)
            .arg("client")
            .arg(serde_json::to_string(&orders)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        let input = child.stdin.take();
        let record = BufReader::new(child.stdout.take().context("the client has no standard output")?);
        let ledger = self.ledger.clone();
        let reader = Some(thread::spawn(move || read(number, record, &ledger)));
        self.running.push(Running { number, child, input, reader });
        self.set_threads(threads)
    }

    /// Sets the number of threads of the client that was started last.
    pub fn set_threads(&mut self, threads: usize) -> Result<()> {
        let client = self.running.last_mut().context("no client runs")?;
        let input = client.input.as_mut().context("the client is being stopped")?;
        writeln!(input, "{threads}").context("the client does not read its input")
    }

    /// Waits until `calls` more calls of each client have been acknowledged.
    pub fn wait_for(&mut self, calls: u64) -> Result<()> {
        let numbers: Vec<_> = self.running.iter().map(|client| client.number).collect();
        let before: Vec<_> =
            numbers.iter().map(|number| (*number, self.ledger().acknowledged(*number))).collect();
        self.wait_until(&format!("{calls} more calls of each client acknowledged"), move |ledger| {
            before.iter().all(|(number, before)| ledger.acknowledged(*number) >= before + calls)
        })
    }

    /// Waits until `calls` more calls have failed.
    pub fn wait_for_errors(&mut self, calls: u64) -> Result<()> {
        let enough = self.ledger().report().failed() + calls;
        self.wait_until(&format!("{calls} more calls failed"), |ledger| ledger.report().failed() >= enough)
    }

    fn wait_until(&mut self, what: &str, is_so: impl Fn(&Ledger) -> bool) -> Result<()> {
        let started = Instant::now();
        while !is_so(&self.ledger()) {
            if started.elapsed() > PATIENCE {
                bail!("not {what} within {PATIENCE:?}; so far:\n{}", self.ledger().report());
            }
            for client in &mut self.running {
                if let Some(status) = client.child.try_wait()? {
                    client.finish_reading()?;
                    bail!("a client has ended on its own: {status}");
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// From now on, the ledger assumes that a call has no effect if the database refuses it. This holds for faults that
    /// lose no connection, because then no call is retried.
    pub fn refusals_are_final(&mut self) {
        self.ledger().refusals_are_final();
    }

    /// Counts a fault that is about to be injected.
    pub fn note_fault(&mut self) {
        self.ledger().note_fault();
    }

    /// Returns the ids of the clients' processes.
    pub fn processes(&self) -> impl Iterator<Item = u32> {
        self.running.iter().map(|client| client.child.id())
    }

    /// Kills the client that was started first, at any point of its work, and reads the rest of its record.
    pub fn kill_one(&mut self) -> Result<()> {
        ensure!(!self.running.is_empty(), "no client runs");
        self.note_fault();
        let mut client = self.running.remove(0);
        client.child.kill()?;
        client.child.wait()?;
        client.finish_reading()?;
        self.ledger().forget_client(client.number);
        Ok(())
    }

    /// Stops every client and waits until its last calls have ended.
    pub fn stop(&mut self) -> Result<()> {
        for client in &mut self.running {
            client.input = None;
        }
        while let Some(client) = self.running.last_mut() {
            let status =
                client.wait().with_context(|| format!("so far:\n{}", lock(&self.ledger).report()))?;
            client.finish_reading()?;
            let number = client.number;
            self.running.pop();
            self.ledger().forget_client(number);
            ensure!(status.success(), "a client failed: {status}");
        }
        Ok(())
    }

    /// Stops every client and looks for everything that was acknowledged.
    pub fn settle(mut self, target: &dyn Target) -> Result<Report> {
        self.stop()?;
        let ledger = std::mem::replace(&mut *self.ledger(), Ledger::new(self.value_size));
        ledger.settle(target)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

impl Running {
    /// Waits until the client has ended its last calls and its process.
    fn wait(&mut self) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(started.elapsed() < PATIENCE, "a call has not ended within {PATIENCE:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn finish_reading(&mut self) -> Result<()> {
        match self.reader.take() {
            Some(reader) => reader.join().expect("reading does not panic"),
            None => Ok(()),
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for client in &mut self.running {
            let _ = client.child.kill();
            let _ = client.child.wait();
        }
    }
}

/// Reads a client's record to its end. If the client was killed, the last line may be incomplete.
fn read(client: u64, mut record: impl BufRead, ledger: &Mutex<Ledger>) -> Result<()> {
    let mut line = Vec::new();
    while record.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        let event: Event = serde_json::from_slice(&line).context("a line of the record")?;
        lock(ledger).apply(client, event)?;
        line.clear();
    }
    Ok(())
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
