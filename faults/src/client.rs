//! A client in a process of its own, which a test can kill.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::ledger::Ledger;
use crate::load;
use crate::report::Report;
use crate::target::{Store, Target};

/// How long the clients may be without an answer, at the most.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    /// Its store.
    pub store: Store,
    /// Its threads, each of which calls the store without a pause.
    pub threads: usize,
    /// The size of its values, in bytes.
    pub value_size: usize,
    /// The number of its first session: no other client may have the next 2^32.
    pub first_session: u64,
}

impl Orders {
    /// Obeys, until standard input ends; the record goes to standard output.
    pub fn obey(&self) -> Result<()> {
        let target = self.store.open()?;
        let _sweeper = target.sweeper()?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let asked = io::copy(&mut io::stdin(), &mut io::sink());
                stop.store(true, Ordering::Relaxed);
                asked
            });
            load::run(&*target, self.threads, self.first_session, self.value_size, io::stdout(), &stop)?;
            asked.join().expect("reading does not panic").map(drop).context("standard input")
        })
    }
}

/// Clients, and the ledger that they all write to.
#[derive(Debug)]
pub struct Clients {
    program: PathBuf,
    ledger: Arc<Mutex<Ledger>>,
    running: Vec<Running>,
    started: u64,
    value_size: usize,
    faults: u32,
}

#[derive(Debug)]
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    reader: JoinHandle<Result<()>>,
}

impl Clients {
    /// None yet. `program` is this crate's own.
    #[must_use]
    pub fn new(program: &Path, value_size: usize) -> Self {
        Self {
            program: program.to_owned(),
            ledger: Arc::new(Mutex::new(Ledger::new(value_size))),
            running: Vec::new(),
            started: 0,
            value_size,
            faults: 0,
        }
    }

    /// Starts one more.
    pub fn start(&mut self, store: &Store, threads: usize) -> Result<()> {
        let orders = Orders {
            store: store.clone(),
            threads,
            value_size: self.value_size,
            first_session: self.started << 32,
        };
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
        let reader = thread::spawn(move || read(record, &ledger));
        self.running.push(Running { child, input, reader });
        Ok(())
    }

    /// Waits until so many more calls have been acknowledged.
    pub fn wait_for(&mut self, calls: u64) -> Result<()> {
        self.wait_until(calls, "more calls acknowledged", Ledger::acknowledged)
    }

    /// Waits until so many more calls have failed.
    pub fn wait_for_errors(&mut self, calls: u64) -> Result<()> {
        self.wait_until(calls, "more calls refused", Ledger::failed)
    }

    fn wait_until(&mut self, calls: u64, what: &str, count: impl Fn(&Ledger) -> u64) -> Result<()> {
        let started = Instant::now();
        let enough = count(&self.ledger()) + calls;
        while count(&self.ledger()) < enough {
            ensure!(started.elapsed() < PATIENCE, "not {calls} {what} within {PATIENCE:?}");
            for client in &mut self.running {
                if let Some(status) = client.child.try_wait()? {
                    bail!("a client has ended by itself: {status}");
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// From now on, a call that the database refused has not taken effect, and the ledger holds it to that: for faults
    /// that lose no connection, so that no call is made twice.
    pub fn refusals_are_final(&mut self) {
        self.ledger().refusals_are_final();
    }

    /// Notes that something is about to be broken.
    pub fn note_fault(&mut self) {
        self.faults += 1;
    }

    /// The ids of the clients' processes.
    pub fn processes(&self) -> impl Iterator<Item = u32> {
        self.running.iter().map(|client| client.child.id())
    }

    /// Kills the client that was started first, in the middle of whatever it does, and reads what it has written.
    pub fn kill_one(&mut self) -> Result<()> {
        ensure!(!self.running.is_empty(), "no client runs");
        let mut client = self.running.remove(0);
        client.child.kill()?;
        client.child.wait()?;
        join(client.reader)?;
        self.faults += 1;
        if self.running.is_empty() {
            self.ledger().nobody_calls();
        }
        Ok(())
    }

    /// Lets every client end.
    pub fn stop(&mut self) -> Result<()> {
        for client in &mut self.running {
            client.input = None;
        }
        for mut client in self.running.drain(..) {
            let status = client.child.wait()?;
            join(client.reader)?;
            ensure!(status.success(), "a client failed: {status}");
        }
        self.ledger().nobody_calls();
        Ok(())
    }

    /// Lets every client end, and looks for everything that was acknowledged.
    pub fn settle(mut self, target: &dyn Target) -> Result<Report> {
        self.stop()?;
        let ledger = std::mem::replace(&mut *self.ledger(), Ledger::new(self.value_size));
        Ok(Report { faults: self.faults, ..ledger.settle(target)? })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
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

/// Reads a client's record to its end, which a kill may have put into the middle of a line.
fn read(mut record: impl BufRead, ledger: &Mutex<Ledger>) -> Result<()> {
    let mut line = Vec::new();
    while record.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        let event: Event = serde_json::from_slice(&line).context("a line of the record")?;
        lock(ledger).apply(event)?;
        line.clear();
    }
    Ok(())
}

fn join(reader: JoinHandle<Result<()>>) -> Result<()> {
    reader.join().expect("reading does not panic")
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
