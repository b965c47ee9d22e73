//! The limit on MariaDB: sysbench, a benchmark in C on libmariadb, the client library that Diesel uses too. It runs the
//! statements that `DieselSession` sends, prepared once per connection.
//!
//! sysbench has no pool. Each client has its own connection. The session keys are numbers of 40 digits.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bench_measure::{Amount, Operation, PERIOD, Sample, processor_time};
use diesel::MysqlConnection;
use diesel_session::DieselSession;
use nix::sys::resource::UsageWho;
use tempfile::NamedTempFile;

use super::diesel_session::{MARIADB_KEY, fill_mariadb};
use super::{Contender, Name};
use crate::mariadb::Database;
use crate::server::Tidy as _;
use crate::statements::Statements;

const SCRIPT: &str = include_str!("sysbench.lua");

pub(crate) struct Sysbench {
    database: Database,
    rows: usize,
    value: String,
    statements: Statements,
    script: NamedTempFile,
}

impl Sysbench {
    pub(crate) fn new(database: Database, rows: usize, value: &str) -> Result<Self> {
        fill_mariadb(&database, MARIADB_KEY, rows, value)?;
        let statements = Statements::seen_on(&DieselSession::<MysqlConnection>::connect(&database.url)?)?;
        let parameters = [&statements.get, &statements.set].map(|statement| statement.matches('?').count());
        ensure!(parameters == [1, 4], "the script does not know these statements: {statements:?}");
        let script = tempfile::Builder::new().suffix(".lua").tempfile()?;
        std::fs::write(script.path(), SCRIPT)?;
        Ok(Self { database, rows, value: value.to_owned(), statements, script })
    }
}

impl Contender for Sysbench {
    fn name(&self) -> Name {
        Name::Sysbench
    }

    fn run(&mut self, operation: Operation, clients: usize, amount: Amount) -> Result<Sample> {
        let sets = match operation {
            Operation::Get => 0,
            Operation::Mixed => 1,
            Operation::Set => 10,
            _ => {
                bail!("sysbench runs no {}", operation.name())
            }
        };
        let mut command = Command::new("sysbench");
        command
            .arg(self.script.path())
            .arg(format!("--mysql-socket={}", self.database.socket().display()))
            .arg(format!("--mysql-db={}", self.database.name))
            .args(["--mysql-user=root", "--rand-type=uniform", "--histogram=on"])
            .arg(format!("--threads={clients}"))
            .arg(format!("--get={}", self.statements.get))
            .arg(format!("--set={}", self.statements.set))
            .arg(format!("--value={}", self.value))
            .arg(format!("--period={}", PERIOD.as_millis()))
            .arg(format!("--lifetime={}", (1_000 * PERIOD).as_millis()))
            .arg(format!("--rows={}", self.rows))
            .arg(format!("--sets={sets}"));
        match amount {
            // Twice the time, so that the first moments, which other contenders do not count, count less.
            Amount::Time(time) => {
                command.arg(format!("--time={}", 2 * time.max(Duration::from_secs(1)).as_secs()))
            }
            Amount::Operations(operations) => {
                command.arg("--time=0").arg(format!("--events={}", operations * clients))
            }
        };
        let before = processor_time(UsageWho::RUSAGE_CHILDREN)?;
        let output = command.arg("run").output().context("starting sysbench: `apt install sysbench`")?;
        let cpu = processor_time(UsageWho::RUSAGE_CHILDREN)? - before;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("sysbench: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
        report(&said, cpu)
    }

    fn tidy(&mut self) -> Result<()> {
        self.database.tidy()
    }
}

/// Reads what sysbench printed. `cpu` is the processor time of its whole run, in microseconds.
fn report(said: &str, cpu: f64) -> Result<Sample> {
    let after = |name: &str| {
        let rest = said.lines().find_map(|line| line.trim().strip_prefix(name));
        rest.map(str::trim).ok_or_else(|| anyhow!("sysbench does not report its {name}\n{said}"))
    };
    let events: usize = after("total number of events:")?.parse()?;
    let seconds: f64 = after("total time:")?.trim_end_matches('s').parse()?;
    // Lines of a latency in milliseconds, a bar and a count.
    let mut histogram = Vec::new();
    for (milliseconds, rest) in said.lines().filter_map(|line| line.split_once('|')) {
        let count: usize = rest.trim_start_matches('*').trim().parse()?;
        histogram.push((milliseconds.trim().parse::<f64>()?, count));
    }
    let counted: usize = histogram.iter().map(|(_, count)| count).sum();
    ensure!(
        counted.abs_diff(events) * 100 <= events,
        "{counted} of {events} events are in sysbench's histogram"
    );
    let percentile = |percent: usize| {
        let mut below = 0;
        let place = histogram.iter().find(|(_, count)| {
            below += count;
            below * 100 >= percent * counted
        });
        place.map(|(milliseconds, _)| milliseconds * 1e3).ok_or_else(|| anyhow!("nothing was measured"))
    };
    Ok(Sample {
        operations: events,
        operations_per_second: events as f64 / seconds,
        latency_p50: percentile(50)?,
        latency_p99: percentile(99)?,
        client_cpu: cpu / events as f64,
    })
}

#[cfg(test)]
mod tests {
    use diesel::dsl;
    use diesel::prelude::*;
    use diesel::sql_types::BigInt;

    use super::*;
    use crate::mariadb::Mariadb;

    #[test]
    fn the_limit_does_what_it_is_measured_by() -> Result<()> {
        let mut sysbench = Sysbench::new(Mariadb::start(false)?.database()?, 100, "before")?;
        let written = |sysbench: &Sysbench| -> Result<i64> {
            let written = "SELECT count(*) FROM session \
                           WHERE session_data = 'after' AND expire_date > created_on + 86000000";
            Ok(dsl::sql::<BigInt>(written).get_result(&mut sysbench.database.connect()?)?)
        };
        "after".clone_into(&mut sysbench.value);
        assert_eq!(sysbench.run(Operation::Get, 2, Amount::Operations(5))?.operations, 10);
        assert_eq!(written(&sysbench)?, 0);
        // Several sets may hit the same session.
        let sample = sysbench.run(Operation::Set, 2, Amount::Operations(5))?;
        assert!((1..=10).contains(&written(&sysbench)?));
        assert!(sample.latency_p50 > 0.0 && sample.latency_p50 <= sample.latency_p99);
        Ok(())
    }

    #[test]
    fn a_report_has_a_rate_and_percentiles() -> Result<()> {
        let said = " total time: 2.0s\n total number of events: 30\n 0.2 |*** 20\n 0.4 | 10\n";
        let sample = report(said, 60.0)?;
        assert_eq!((sample.operations, sample.operations_per_second), (30, 15.0));
        assert_eq!((sample.latency_p50, sample.latency_p99, sample.client_cpu), (200.0, 400.0, 2.0));
        assert!(report("total time: 2.0s\n total number of events: 30\n 0.2 | 20\n", 60.0).is_err());
        Ok(())
    }
}
