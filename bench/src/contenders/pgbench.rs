//! The limit on PostgreSQL: `pgbench -M prepared`, PostgreSQL's own benchmark in C on libpq. It runs the statements
//! that `DieselSession` sends.
//!
//! pgbench has no pool. Each client has its own connection, except when several gets share one in a pipeline. The
//! session keys are numbers, because pgbench can draw nothing else. They have 19 characters, in the same `char(40)`
//! column of the same table.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bench_measure::{Amount, Operation, PERIOD, Sample, percentile, processor_time};
use diesel::PgConnection;
use diesel::connection::SimpleConnection as _;
use diesel_session::DieselSession;
use nix::sys::resource::UsageWho;
use tempfile::TempDir;

use super::asynchronous::PIPELINED;
use super::diesel_session::{fill, insert};
use super::{Contender, Name};
use crate::server::Database;
use crate::statements::Statements;

/// A key is the sum of this and the session's number.
const KEYS: u64 = 1_000_000_000_000_000_000;

/// The share of operations that a timed run writes to the latency log. To log all of them would slow the run down.
const SAMPLED: &str = "0.2";

/// Returns how many of a client's logged operations are warm-up. Each run uses new connections, and the server first
/// has to look up and plan everything. A timed run therefore takes twice the time.
fn warm_up(amount: Amount, logged: usize) -> usize {
    match amount {
        Amount::Time(_) => logged / 2,
        Amount::Operations(_) => logged / 10,
    }
}

/// An operation in pgbench's log. Times are in microseconds.
struct Logged {
    /// How many operations of this client came before, including those that are not logged.
    number: u64,
    latency: u64,
    /// Since 1970.
    end: u64,
}

pub(crate) struct PgBench {
    name: Name,
    database: Database,
    rows: usize,
    value: String,
    statements: Statements,
    program: PathBuf,
    scripts: TempDir,
}

impl PgBench {
    pub(crate) fn new(name: Name, database: Database, rows: usize, value: &str) -> Result<Self> {
        let (key, period) = (format!("({KEYS} + n)::text"), PERIOD.as_secs().to_string());
        fill(&database, |conn| insert(conn, &key, 1..rows + 1, value, &period, "NULL"))?;
        Ok(Self {
            name,
            statements: Statements::seen_on(&DieselSession::<PgConnection>::connect(&database.url)?)?,
            database,
            rows,
            value: value.to_owned(),
            program: throwaway_postgres::binaries()?.join("pgbench"),
            scripts: tempfile::tempdir()?,
        })
    }

    /// Divides `clients` operations at once into connections, operations per transaction, and threads.
    fn shares(&self, clients: usize) -> (usize, usize, usize) {
        match self.name {
            Name::PgBenchTwoThreads => (clients, 1, clients.min(2)),
            Name::PgBenchPipelined => {
                let connections = clients.min(PIPELINED as usize);
                (connections, clients / connections, connections)
            }
            _ => (clients, 1, clients),
        }
    }

    /// Writes a script that sets the key and runs one statement. `values` replace the statement's parameters in order.
    /// If `times` is more than one, the script repeats this in one pipeline.
    fn script(
        &self,
        name: &str,
        times: usize,
        statement: &str,
        key: &str,
        values: &[&str],
    ) -> Result<PathBuf> {
        let mut statement = statement.to_owned();
        for (number, value) in values.iter().enumerate().rev() {
            let parameter = format!("${}", number + 1);
            ensure!(statement.matches(&parameter).count() == 1, "{parameter} is not in {statement} once");
            statement = statement.replace(&parameter, value);
        }
        ensure!(!statement.contains('$'), "a value is not named: {statement}");
        let path = self.scripts.path().join(name);
        let script = format!("{key}\n{statement};\n").repeat(times);
        let script = if times == 1 { script } else { format!("\\startpipeline\n{script}\\endpipeline\n") };
        std::fs::write(&path, script)?;
        Ok(path)
    }

    /// Returns the scripts of an operation, and how many of ten runs each one gets.
    fn scripts(&self, operation: Operation, times: usize) -> Result<Vec<(PathBuf, u32)>> {
        let Statements { generate, get, set, clear } = &self.statements;
        let any = format!("\\set key {KEYS} + random(1, {})", self.rows);
        // Each client counts in its own range. `permute` puts the numbers out of order.
        let next = format!(
            "\\set count :count + 1\n\\set key {KEYS} * 2 + permute(:client_id * 1000000000 + :count, {KEYS}, 1)"
        );
        let get = || self.script("get", times, get, &any, &[":key"]);
        let set = || self.script("set", times, set, &any, &[":value", ":period", ":key"]);
        Ok(match operation {
            Operation::Get => vec![(get()?, 10)],
            Operation::Set => vec![(set()?, 10)],
            Operation::Mixed => vec![(get()?, 9), (set()?, 1)],
            Operation::Generate => {
                // NULL: no owner.
                let values = [":key", ":period", ":value", "NULL"];
                vec![(self.script("generate", times, generate, &next, &values)?, 10)]
            }
            Operation::Clear => vec![(self.script("clear", times, clear, &next, &[":key"])?, 10)],
            Operation::Visit | Operation::Update | Operation::UpdateOne => {
                bail!("pgbench runs no {}", operation.name())
            }
        })
    }

    /// Reads and removes the clients' logs.
    fn logs(&self) -> Result<BTreeMap<u64, Vec<Logged>>> {
        let mut clients = BTreeMap::<u64, Vec<Logged>>::new();
        for file in std::fs::read_dir(self.scripts.path())? {
            let path = file?.path();
            if !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"log.")) {
                continue;
            }
            for line in std::fs::read_to_string(&path)?.lines() {
                // client_id transaction_no time script_no time_epoch time_us
                let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
                let &[client, number, latency, _, seconds, microseconds] = numbers.as_slice() else {
                    bail!("pgbench's log has an unexpected line: {line}");
                };
                let end = seconds * 1_000_000 + microseconds;
                clients.entry(client).or_default().push(Logged { number, latency, end });
            }
            std::fs::remove_file(path)?;
        }
        Ok(clients)
    }
}

impl Contender for PgBench {
    fn name(&self) -> Name {
        self.name
    }

    fn run(&mut self, operation: Operation, clients: usize, amount: Amount) -> Result<Sample> {
        let (connections, times, threads) = self.shares(clients);
        let mut command = Command::new(&self.program);
        command
            .args(["--no-vacuum", "--protocol=prepared", "--log"])
            .arg(format!("--log-prefix={}", self.scripts.path().join("log").display()))
            .arg(format!("--client={connections}"))
            .arg(format!("--jobs={threads}"))
            .arg(format!("--define=value={}", self.value))
            .arg(format!("--define=period={} seconds", PERIOD.as_secs()))
            .arg("--define=count=0");
        match amount {
            Amount::Time(time) => {
                let seconds = 2 * time.max(Duration::from_secs(1)).as_secs();
                command.arg(format!("--time={seconds}")).arg(format!("--sampling-rate={SAMPLED}"))
            }
            Amount::Operations(operations) => command.arg(format!("--transactions={operations}")),
        };
        for (script, weight) in self.scripts(operation, times)? {
            command.arg(format!("--file={}@{weight}", script.display()));
        }
        let before = processor_time(UsageWho::RUSAGE_CHILDREN)?;
        let output = command.arg(&self.database.url).output().context("starting pgbench")?;
        let cpu = processor_time(UsageWho::RUSAGE_CHILDREN)? - before;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("pgbench: {}\n{said}", String::from_utf8_lossy(&output.stderr));
        }
        let processed = said
            .lines()
            .find_map(|line| line.strip_prefix("number of transactions actually processed: "))
            .and_then(|line| line.split('/').next())
            .ok_or_else(|| anyhow!("pgbench does not report how many transactions it processed:\n{said}"))?;
        let logs = self.logs()?;
        let measured = logs
            .values()
            .map(|logged| match &logged[warm_up(amount, logged.len())..] {
                measured @ [_, .., _] => Ok(measured),
                _ => bail!("a client of pgbench logged only {} operations", logged.len()),
            })
            .collect::<Result<Vec<_>>>()?;
        // The time in which all clients ran. Each client's first measured operation only marks the start.
        let begin = measured.iter().map(|logged| logged[0].end).max().unwrap_or(0);
        let end = measured.iter().map(|logged| logged[logged.len() - 1].end).min().unwrap_or(0);
        let during = |logged: &&Logged| logged.end > begin && logged.end <= end;
        let (mut operations, mut transactions_per_second, mut latencies) = (0, 0.0, Vec::new());
        for logged in &measured {
            let counted = |logged: &[Logged]| logged[logged.len() - 1].number - logged[0].number;
            operations += usize::try_from(counted(logged))? * times;
            transactions_per_second += match amount {
                Amount::Operations(_) if end > begin => {
                    logged.iter().filter(during).count() as f64 * 1e6 / (end - begin) as f64
                }
                // The client's own rate: for timed runs, whose clients end together, and for tiny runs in which clients
                // never overlap.
                _ => counted(logged) as f64 * 1e6 / (logged[logged.len() - 1].end - logged[0].end) as f64,
            };
            latencies.extend(logged[1..].iter().map(|logged| logged.latency));
        }
        latencies.sort_unstable();
        Ok(Sample {
            operations,
            operations_per_second: transactions_per_second * times as f64,
            latency_p50: percentile(&latencies, 50)?,
            latency_p99: percentile(&latencies, 99)?,
            // For the whole run, including pgbench's start.
            client_cpu: cpu / (processed.parse::<f64>()? * times as f64),
        })
    }

    fn tidy(&mut self) -> Result<()> {
        Ok(self.database.connect()?.batch_execute("VACUUM session")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Postgres, number};

    fn count(database: &Database, condition: &str) -> Result<i64> {
        number(&mut database.connect()?, &format!("SELECT count(*) FROM session WHERE {condition}"))
    }

    #[test]
    fn a_pipeline_counts_for_as_many_operations_as_it_has() -> Result<()> {
        let server = Postgres::start()?;
        let mut pgbench = PgBench::new(Name::PgBenchPipelined, server.database(false)?, 100, "before")?;
        // Four connections with two gets per pipeline. Each connection's first pipeline only marks the start of the
        // second.
        assert_eq!(pgbench.run(Operation::Get, 8, Amount::Operations(5))?.operations, 4 * 4 * 2);
        pgbench.run(Operation::Generate, 8, Amount::Operations(5))?;
        assert_eq!(count(&pgbench.database, "true")?, 100 + 8 * 5);
        Ok(())
    }

    #[test]
    fn the_limit_does_what_it_is_measured_by() -> Result<()> {
        let server = Postgres::start()?;
        let mut pgbench = PgBench::new(Name::PgBench, server.database(false)?, 100, "before")?;
        "after".clone_into(&mut pgbench.value);
        // None of each client's five operations is warm-up. The first only marks the start of the second.
        assert_eq!(pgbench.run(Operation::Get, 2, Amount::Operations(5))?.operations, 8);
        pgbench.run(Operation::Generate, 2, Amount::Operations(5))?;
        assert_eq!(count(&pgbench.database, "session_data = 'after'")?, 10);
        pgbench.run(Operation::Clear, 2, Amount::Operations(5))?;
        assert_eq!(count(&pgbench.database, "true")?, 100);
        pgbench.run(Operation::Set, 1, Amount::Operations(2))?;
        // Both sets may hit the same session.
        assert!((1..=2).contains(&count(&pgbench.database, "session_data = 'after'")?));
        Ok(())
    }
}
