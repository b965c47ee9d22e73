//! What is measured, and in which order.

use std::time::Duration;

use serde::Serialize;

use bench_measure::{Amount, Operation};

use crate::contenders::Name;

/// All operations. `clear` ends the sessions that `generate` made just before.
const ALL: [Operation; 5] =
    [Operation::Get, Operation::Set, Operation::Mixed, Operation::Generate, Operation::Clear];

const ON_POSTGRES: [Name; 4] = [Name::Unbounded, Name::Bounded, Name::Sqlx, Name::PgBench];

const ON_MARIADB: [Name; 4] = [Name::Unbounded, Name::Bounded, Name::Sqlx, Name::Sysbench];

const ON_SQLITE: [Name; 4] = [Name::Unbounded, Name::Sqlx, Name::SqlxUnchecked, Name::Prepared];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Database {
    Postgres,
    Sqlite,
    Mariadb,
}

/// Measurements that share their rounds. In each round, every contender runs every cell on every table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Group {
    pub(crate) database: Database,
    /// Numbers of sessions. There is one table for each number.
    pub(crate) rows: Vec<usize>,
    pub(crate) value_bytes: usize,
    /// Whether a commit waits for the disk. SQLite has `synchronous = NORMAL`, with which only a checkpoint waits.
    pub(crate) commits_wait: Option<bool>,
    /// Operations and the number of clients that run them at once. `clear` ends the sessions that `generate` with the
    /// same number of clients made just before.
    pub(crate) cells: Vec<(Operation, usize)>,
    pub(crate) contenders: Vec<Name>,
    pub(crate) rounds: usize,
}

impl Group {
    /// Returns the number of samples.
    pub(crate) fn samples(&self) -> usize {
        self.rounds * self.rows.len() * self.cells.len() * self.contenders.len()
    }
}

/// The size of a value, in bytes, for all ratios.
pub(crate) const BASE_VALUE: usize = 200;

/// The size of the whole comparison.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Scale {
    /// Measures only what the figures need.
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// Divides the sessions in each table and the operations in each round: to see whether the program works, not to
    /// get figures.
    pub(crate) divisor: usize,
}

impl Scale {
    /// Returns how many sessions are set repeatedly while the growth of rows and indexes is measured.
    pub(crate) fn rewritten_rows(self) -> usize {
        if self.quick { self.rows(40_000) } else { self.base_rows() }
    }

    /// Returns the number of sessions in the table for all ratios.
    pub(crate) fn base_rows(self) -> usize {
        self.rows(200_000)
    }

    pub(crate) fn rows(self, rows: usize) -> usize {
        rows / self.divisor
    }

    /// Returns how much a client does in a round.
    pub(crate) fn amount(self, operation: Operation, clients: usize) -> Amount {
        match operation {
            Operation::Generate | Operation::Clear => Amount::Operations(self.rows(12_800) / clients),
            _ if self.divisor == 1 => Amount::Time(Duration::from_secs(1)),
            _ => Amount::Operations(100),
        }
    }

    /// 200,000 sessions of 200 bytes on PostgreSQL, with commits that do not wait for the disk.
    fn base(self) -> Group {
        Group {
            database: Database::Postgres,
            rows: vec![self.base_rows()],
            value_bytes: BASE_VALUE,
            commits_wait: Some(false),
            cells: cells(&ALL, &[1, 8, 32]),
            contenders: ON_POSTGRES.to_vec(),
            rounds: self.rounds,
        }
    }

    fn other_sizes(self) -> Group {
        Group { rows: vec![self.rows(10_000), self.rows(1_000_000)], ..self.base() }
    }

    fn sqlite(self) -> Group {
        Group {
            database: Database::Sqlite,
            commits_wait: None,
            contenders: ON_SQLITE.to_vec(),
            ..self.base()
        }
    }

    /// The stores for tower-sessions.
    fn sqlite_peers(self) -> Group {
        use Operation::{Clear, Generate, Get, Set, Visit};
        Group {
            cells: cells(&[Get, Set, Visit, Generate, Clear], &[8]),
            contenders: vec![Name::Tower, Name::Sqlx, Name::Rusqlite],
            ..self.sqlite()
        }
    }

    /// sysbench runs `get` and `set` only.
    fn mariadb(self) -> Group {
        Group {
            database: Database::Mariadb,
            cells: cells(&[Operation::Get, Operation::Set], &[1, 8, 32]),
            contenders: ON_MARIADB.to_vec(),
            ..self.base()
        }
    }

    /// Shows what each difference costs: the check before each use, the shared pool, and one thread per client.
    fn variants(self) -> Group {
        Group {
            cells: cells(&[Operation::Get, Operation::Set], &[8]),
            contenders: vec![
                Name::Unbounded,
                Name::Bounded,
                Name::Held,
                Name::Sqlx,
                Name::SqlxUnchecked,
                Name::PgBench,
                Name::PgBenchTwoThreads,
            ],
            ..self.base()
        }
    }

    /// The asynchronous store, directly and through tower-sessions.
    fn asynchronous(self) -> Group {
        let mut cells = cells(&[Operation::Get, Operation::Set], &[1, 8, 32]);
        cells.extend([(Operation::Generate, 8), (Operation::Clear, 8)]);
        let contenders = vec![Name::Async, Name::AsyncPipelined, Name::Tower, Name::Sqlx, Name::PgBench];
        Group { cells, contenders, ..self.base() }
    }

    /// The blocking store with its default settings, called from threads, and from tasks through `Blocking`.
    fn blocking(self) -> Group {
        Group {
            cells: cells(&[Operation::Get, Operation::Set], &[8]),
            contenders: vec![Name::Bounded, Name::Blocking],
            ..self.base()
        }
    }

    /// Stores without a database. The commits of this crate's store do not wait for the disk, and Redis flushes once a
    /// second, so both can lose the last second.
    fn peers(self) -> Group {
        Group {
            cells: cells(&[Operation::Get, Operation::Set, Operation::Generate, Operation::Clear], &[8]),
            contenders: vec![Name::Unbounded, Name::Tower, Name::Redis, Name::Memory],
            ..self.base()
        }
    }

    /// Requests, as tower-sessions makes them.
    fn visits(self) -> Group {
        Group {
            cells: cells(&[Operation::Visit], &[8]),
            contenders: vec![Name::Tower, Name::Sqlx, Name::Redis, Name::Memory],
            ..self.base()
        }
    }

    /// Two forms of `update`, of any session and of one session only.
    fn updates(self) -> Group {
        Group {
            cells: cells(&[Operation::Update, Operation::UpdateOne], &[8]),
            contenders: vec![Name::Unbounded, Name::Locked],
            ..self.base()
        }
    }

    /// Reads by more clients than there are connections to share.
    fn pipelined(self) -> Group {
        Group {
            cells: cells(&[Operation::Get], &[32]),
            contenders: vec![
                Name::AsyncPipelined,
                Name::TowerPipelined,
                Name::Sqlx,
                Name::PgBench,
                Name::PgBenchTwoThreads,
                Name::PgBenchPipelined,
            ],
            ..self.base()
        }
    }
}

pub(crate) fn groups(scale: Scale) -> Vec<Group> {
    if scale.quick { quick(scale) } else { full(scale) }
}

/// The groups that the figures with a target need.
fn quick(scale: Scale) -> Vec<Group> {
    let reads_and_writes = [Operation::Get, Operation::Set];
    let one = Group {
        cells: cells(&reads_and_writes, &[1]),
        contenders: vec![Name::Unbounded, Name::PgBench],
        ..scale.base()
    };
    let eight = Group {
        cells: cells(&[Operation::Get, Operation::Set, Operation::Generate, Operation::Clear], &[8]),
        contenders: vec![Name::Unbounded, Name::Bounded, Name::Tower, Name::Sqlx, Name::PgBench],
        ..scale.base()
    };
    let sizes =
        Group { cells: vec![(Operation::Get, 1)], contenders: vec![Name::Unbounded], ..scale.other_sizes() };
    let mut sqlite = Group { cells: cells(&reads_and_writes, &[8]), ..scale.sqlite() };
    sqlite.contenders.retain(|contender| *contender != Name::SqlxUnchecked);
    let mariadb = Group { cells: cells(&reads_and_writes, &[8]), ..scale.mariadb() };
    vec![
        one,
        eight,
        scale.peers(),
        scale.visits(),
        scale.blocking(),
        scale.updates(),
        scale.pipelined(),
        sizes,
        sqlite,
        scale.sqlite_peers(),
        mariadb,
    ]
}

/// The groups vary one dimension at a time, except that large values go with a smaller table.
fn full(scale: Scale) -> Vec<Group> {
    vec![
        scale.base(),
        scale.variants(),
        scale.asynchronous(),
        scale.peers(),
        scale.visits(),
        scale.blocking(),
        scale.updates(),
        scale.pipelined(),
        Group { cells: cells(&[Operation::Get, Operation::Set], &[1, 8]), ..scale.other_sizes() },
        Group {
            value_bytes: 8_192,
            rows: vec![scale.rows(20_000)],
            cells: cells(&ALL, &[8]),
            ..scale.base()
        },
        Group { commits_wait: Some(true), cells: cells(&ALL, &[8]), ..scale.base() },
        scale.sqlite(),
        scale.sqlite_peers(),
        scale.mariadb(),
        Group {
            cells: cells(&[Operation::Generate, Operation::Clear], &[8]),
            contenders: vec![Name::Unbounded, Name::Bounded, Name::Sqlx],
            ..scale.mariadb()
        },
        Group {
            commits_wait: Some(true),
            cells: cells(&[Operation::Get, Operation::Set], &[8]),
            ..scale.mariadb()
        },
    ]
}

fn cells(operations: &[Operation], clients: &[usize]) -> Vec<(Operation, usize)> {
    clients.iter().flat_map(|clients| operations.iter().map(|operation| (*operation, *clients))).collect()
}
