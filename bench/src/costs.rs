//! Costs that do not depend on the machine's load: instructions counted by callgrind and allocations counted by
//! memcheck. Only the client's side is counted.
//!
//! The program runs itself under valgrind, once with few operations and once with more. The difference between the two
//! runs is the cost of the additional operations.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail, ensure};
use bench_measure::Operation;
use clap::{Args, ValueEnum};
use comfy_table::Table;
use diesel::prelude::*;
use diesel_session::{DieselSession, Error, MemorySession, Sessions};
use indicatif::ProgressBar;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;

use crate::contenders::value;
use crate::plan::BASE_VALUE;
use crate::report::tables::table;
use crate::server::Postgres;

/// Operations of the shorter run and of the longer run.
const FEW: usize = 200;
const MANY: usize = 1_200;

const OPERATIONS: [Operation; 4] = [Operation::Generate, Operation::Get, Operation::Set, Operation::Clear];

/// The parts of a `get` and a `generate` on SQLite. Each is a function that no compiler can merge into its callers: a C
/// function, or one that only some processors can run. The rest of an operation is Diesel's code and this crate's.
const PARTS: [(&str, Operation, &str); 3] = [
    ("SQLite", Operation::Generate, "sqlite3_step"),
    ("SQLite", Operation::Get, "sqlite3_step"),
    ("a key's digest", Operation::Get, "sha256::compress256"),
];

fn operation(name: &str) -> Result<Operation, serde::de::value::Error> {
    Operation::deserialize(name.into_deserializer())
}

/// One run under valgrind.
#[derive(Args)]
pub(crate) struct Workload {
    store: Store,
    #[arg(value_parser = operation)]
    operation: Operation,
    count: usize,
    /// The URL of PostgreSQL.
    url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Memory,
    Sqlite,
    Postgres,
}

impl Store {
    /// Returns the name that `Workload` reads.
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Memory => "MemorySession",
            Self::Sqlite => "SQLite in memory",
            Self::Postgres => "PostgreSQL, libpq included",
        }
    }
}

/// Counts everything and prints it.
pub(crate) fn run(bar: &ProgressBar) -> Result<()> {
    let server = Postgres::start()?;
    let scratch = tempfile::tempdir()?;
    let mut costs = table(&["per operation", "operation", "instructions", "allocations"]);
    let mut parts = table(&["of which, on SQLite", "operation", "instructions"]);
    for store in [Store::Memory, Store::Sqlite, Store::Postgres] {
        for operation in OPERATIONS {
            bar.set_message(format!("{} on {}", operation.name(), store.title()));
            let database = (store == Store::Postgres).then(|| server.database(false)).transpose()?;
            let url = database.as_ref().map(|database| database.url.as_str());
            let count = |count| Counted::new(store, operation, count, url, scratch.path());
            let (few, many) = (count(FEW)?, count(MANY)?);
            let instructions = per_operation(few.instructions, many.instructions)?;
            let allocations = per_operation(few.allocations, many.allocations)?;
            costs.add_row([
                store.title().to_owned(),
                operation.name().to_owned(),
                format!("{instructions:.0}"),
                format!("{allocations:.1}"),
            ]);
            if store == Store::Sqlite {
                add_parts(&mut parts, operation, &few, &many)?;
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    println!("{costs}\n\n{parts}");
    Ok(())
}

fn add_parts(parts: &mut Table, operation: Operation, few: &Counted, many: &Counted) -> Result<()> {
    for (title, _, function) in PARTS.iter().filter(|(_, of, _)| *of == operation) {
        let instructions = per_operation(few.inclusive(function)?, many.inclusive(function)?)?;
        ensure!(instructions > 0.0, "valgrind counted nothing in {function}");
        parts.add_row([(*title).to_owned(), operation.name().to_owned(), format!("{instructions:.0}")]);
    }
    Ok(())
}

/// Returns the cost per operation: the difference between the runs, divided by the number of additional operations.
fn per_operation(few: u64, many: u64) -> Result<f64> {
    let besides = many.checked_sub(few).context("the longer run took less than the shorter")?;
    Ok(besides as f64 / (MANY - FEW) as f64)
}

/// What valgrind counted in one whole run.
struct Counted {
    instructions: u64,
    allocations: u64,
    /// Instructions of each function and of the functions that it calls.
    inclusive: BTreeMap<String, u64>,
}

impl Counted {
    fn new(
        store: Store,
        operation: Operation,
        count: usize,
        url: Option<&str>,
        scratch: &Path,
    ) -> Result<Self> {
        let file = scratch.join("callgrind.out");
        let file = file.to_str().context("the temporary directory has no name in UTF-8")?;
        let under = |tool: &[&str]| {
            let mut command = Command::new("valgrind");
            command.args(tool).arg(std::env::current_exe()?).arg("workload");
            command.args([store.name(), operation.name(), &count.to_string()]).args(url);
            said(&mut command)
        };
        let log = under(&["--tool=callgrind", &format!("--callgrind-out-file={file}")])?;
        let instructions = number_after(&log.stderr, "Collected : ")?;
        let heap = under(&["--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"])?;
        let allocations = number_after(&heap.stderr, "total heap usage: ")?;
        let functions =
            said(Command::new("callgrind_annotate").args(["--inclusive=yes", "--threshold=100", file]))?;
        let inclusive = String::from_utf8_lossy(&functions.stdout)
            .lines()
            .filter_map(|line| {
                let (number, rest) = line.trim_start().split_once(' ')?;
                Some((rest.to_owned(), number.replace(',', "").parse().ok()?))
            })
            .collect();
        Ok(Self { instructions, allocations, inclusive })
    }

    /// Returns the instructions of the function whose name contains `function`, and of the functions that it calls.
    fn inclusive(&self, function: &str) -> Result<u64> {
        let named = self.inclusive.iter().filter(|(name, _)| name.contains(function));
        named.map(|(_, count)| *count).max().with_context(|| format!("callgrind saw no function {function}"))
    }
}

fn said(command: &mut Command) -> Result<Output> {
    let output = command.output().context("valgrind is missing: `apt install valgrind`")?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output)
}

/// Parses the number after `words`, as valgrind writes it.
fn number_after(text: &[u8], words: &str) -> Result<u64> {
    let text = String::from_utf8_lossy(text);
    let (_, rest) =
        text.split_once(words).with_context(|| format!("valgrind does not say {words:?}: {text}"))?;
    let digits: String =
        rest.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',').collect();
    Ok(digits.parse()?)
}

impl Workload {
    /// Runs the workload. The preparation is the same for any number of operations.
    pub(crate) fn run(&self) -> Result<()> {
        match self.store {
            Store::Memory => self.run_on(&MemorySession::new()),
            Store::Sqlite => {
                let store = DieselSession::<SqliteConnection>::connect(":memory:")?;
                store.migrate()?;
                self.run_on(&store)
            }
            Store::Postgres => {
                let url = self.url.as_deref().context("the URL of PostgreSQL is missing")?;
                let builder = DieselSession::<PgConnection>::builder().pool_size(1).bounded_calls(false);
                let store = builder.connect(url)?;
                store.migrate()?;
                self.run_on(&store)
            }
        }
    }

    fn run_on(&self, store: &impl Sessions) -> Result<()> {
        let value = value(BASE_VALUE);
        let keys =
            (0..MANY).map(|_| store.generate(Some(&value), None)).collect::<Result<Vec<_>, Error>>()?;
        for key in keys.iter().take(self.count) {
            match self.operation {
                Operation::Get | Operation::Mixed => drop(black_box(store.get(key)?)),
                Operation::Set => store.set(key, &value, None)?,
                Operation::Generate => drop(black_box(store.generate(Some(&value), None)?)),
                Operation::Clear => store.clear(key)?,
                Operation::Visit | Operation::Update | Operation::UpdateOne => {
                    bail!("costs are counted for one statement")
                }
            }
        }
        Ok(())
    }
}
