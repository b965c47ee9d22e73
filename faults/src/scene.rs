//! Databases, clients of each store, and what can happen to them.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use diesel::connection::SimpleConnection;
use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_session::{DieselSession, KeyStorage, migrations};
use tempfile::TempDir;
use throwaway_postgres::Server;

use crate::clients::Clients;
use crate::memory;
use crate::report::Report;
use crate::store::{Kind, Store};

/// Something that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    ServerKilled,
    ServerShutDown,
    ServerStandsStill,
    ConnectionsEnded,
    ClientsKilled,
}

impl Fault {
    pub(crate) const ALL: &[Self] = &[
        Self::ServerKilled,
        Self::ClientsKilled,
        Self::ConnectionsEnded,
        Self::ServerStandsStill,
        Self::ServerShutDown,
    ];

    /// Those that leave the server alone.
    pub(crate) const OF_CLIENTS: &[Self] = &[Self::ConnectionsEnded, Self::ClientsKilled];
}

/// On PostgreSQL, each a process.
const KINDS: [Kind; 3] = [Kind::Blocking, Kind::Asynchronous, Kind::Pipelined];

const THREADS: usize = 4;
/// Connections of a client's pool.
const POOL: u32 = 5;
const VALUE_SIZE: usize = 200;

/// How long a server stands still: less than a call may take.
const STANDSTILL: Duration = Duration::from_secs(2);

/// What tells that a database serves again.
const CALLS: u64 = 200;

/// A server that keeps what it has acknowledged, other than those of most tests.
pub const DURABLE: [&str; 3] = ["fsync=on", "synchronous_commit=on", "full_page_writes=on"];

/// A lock that does not come is asked for again, as the migrations of the crate do.
const PATIENCE: Duration = Duration::from_secs(60);

const PARTITION: &str = include_str!("../../docs/scaling/partition.sql");

pub(crate) struct Scene {
    on_postgres: (Vec<Store>, Clients),
    on_sqlite: Option<(Store, Clients, TempDir)>,
    growth: Growth,
    url: String,
    /// Ends after its clients.
    server: Option<Server>,
}

impl Scene {
    /// Everybody is there, and at work.
    pub(crate) fn new(url: Option<&str>, program: &Path) -> Result<Self> {
        let server = match url {
            Some(_) => None,
            None => Some(Server::start(&DURABLE)?),
        };
        let url = url.map(str::to_owned).or(server.as_ref().map(|server| server.url("postgres")));
        let url = url.context("one of the two")?;
        let stores: Vec<_> = KINDS.iter().map(|kind| Store::new(*kind, &url).pool_size(POOL)).collect();
        ensure!(stores[0].open()?.live()? == 0, "there are sessions of somebody else in this database");
        let mut clients = Clients::new(program, VALUE_SIZE);
        for store in &stores {
            clients.start(store, THREADS)?;
        }
        let on_sqlite = server.is_some().then(|| {
            let directory = tempfile::tempdir()?;
            let file = directory.path().join("sessions.sqlite");
            let store =
                Store::new(Kind::Sqlite, file.to_str().context("the directory's name")?).pool_size(POOL);
            let mut clients = Clients::new(program, VALUE_SIZE);
            clients.start(&store, THREADS)?;
            anyhow::Ok((store, clients, directory))
        });
        let on_sqlite = on_sqlite.transpose()?;
        Ok(Self { server, url, on_postgres: (stores, clients), on_sqlite, growth: Growth::default() })
    }

    /// Breaks something, and waits until every client is served again.
    pub(crate) fn inject(&mut self, fault: Fault) -> Result<()> {
        let (stores, clients) = &mut self.on_postgres;
        if fault != Fault::ClientsKilled {
            clients.note_fault();
        }
        match (fault, &mut self.server) {
            (Fault::ServerKilled, Some(server)) => {
                server.kill()?;
                server.start_again()?;
            }
            (Fault::ServerShutDown, Some(server)) => {
                server.stop()?;
                server.start_again()?;
            }
            (Fault::ServerStandsStill, Some(server)) => {
                server.pause()?;
                thread::sleep(STANDSTILL);
                server.resume()?;
            }
            (Fault::ConnectionsEnded, _) => {
                let end =
                    format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OF_CLIENTS}");
                watcher(&self.url)?.batch_execute(&end)?;
            }
            (Fault::ClientsKilled, _) => {
                // The one that has run longest; another like it takes its place.
                clients.kill_one()?;
                stores.rotate_left(1);
                clients.start(stores.last().context("no store")?, THREADS)?;
                if let Some((store, clients, _)) = &mut self.on_sqlite {
                    clients.kill_one()?;
                    clients.start(store, THREADS)?;
                }
            }
            (other, None) => bail!("{other:?}: there is no server of our own"),
        }
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        self.on_postgres.1.wait_for(CALLS)?;
        match &mut self.on_sqlite {
            Some((_, clients, _)) => clients.wait_for(CALLS),
            None => Ok(()),
        }
    }

    /// The tables become others, while starting processes ask for their migrations: on PostgreSQL partitioned, as an
    /// operator does it; on SQLite of an earlier version, and of this one again.
    pub(crate) fn migrate(&mut self) -> Result<()> {
        let (url, is_ours) = (&self.url, self.server.is_some());
        let sqlite = self.on_sqlite.as_ref().map(|(store, ..)| &store.address);
        thread::scope(|scope| {
            let partitioned = scope.spawn(|| if is_ours { partition(url) } else { Ok(()) });
            let starting: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| DieselSession::<PgConnection>::connect(url)?.migrate()))
                .collect();
            let migrated = scope.spawn(|| sqlite.map_or(Ok(()), |file| revert_and_migrate(file)));
            for start in starting {
                let ran = start.join().expect("migrating does not panic")?;
                ensure!(ran == 0, "{ran} migrations were run again");
            }
            migrated.join().expect("migrating does not panic").context("SQLite")?;
            partitioned.join().expect("partitioning does not panic")
        })?;
        self.wait()
    }

    /// Measures the clients and their connections.
    pub(crate) fn look(&mut self) -> Result<()> {
        let sqlite = self.on_sqlite.as_ref().map(|(_, clients, _)| clients);
        for process in [Some(&self.on_postgres.1), sqlite].into_iter().flatten().flat_map(Clients::processes)
        {
            self.growth.memory.entry(process).or_default().push(memory::now(process)?);
        }
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {OF_CLIENTS}");
        let connections = dsl::sql::<BigInt>(&count).get_result(&mut watcher(&self.url)?)?;
        self.growth.connections.push(connections);
        Ok(())
    }

    pub(crate) fn growth(&self) -> Growth {
        self.growth.clone()
    }

    /// Everybody goes home, and what they were told is looked for.
    pub(crate) fn end(self) -> Result<Report> {
        let (stores, clients) = self.on_postgres;
        let report = clients.settle(&*stores[0].open()?)?;
        Ok(match self.on_sqlite {
            Some((store, clients, _directory)) => report.and(clients.settle(&*store.open()?)?),
            None => report,
        })
    }
}

/// The clients' connections, but neither an observer's nor those that Citus makes to itself.
const OF_CLIENTS: &str = "backend_type = 'client backend' AND datname = current_database() \
     AND application_name <> 'watcher' AND application_name NOT LIKE 'citus_internal%'";

fn watcher(url: &str) -> Result<PgConnection> {
    let mut conn = PgConnection::establish(url)?;
    conn.batch_execute("SET application_name = watcher")?;
    Ok(conn)
}

fn partition(url: &str) -> Result<()> {
    let started = Instant::now();
    while let Err(error) = watcher(url)?.batch_execute(PARTITION) {
        ensure!(started.elapsed() < PATIENCE, "the table cannot be partitioned: {error}");
    }
    Ok(())
}

fn revert_and_migrate(file: &str) -> Result<()> {
    let mut conn = SqliteConnection::establish(file)?;
    conn.batch_execute("PRAGMA busy_timeout = 60000")?;
    migrations::revert(&mut conn)?;
    let ran = migrations::migrate(&mut conn, KeyStorage::Hashed)?;
    ensure!(ran == 1, "{ran} migrations were run, not the one that was reverted");
    Ok(())
}

/// What the clients had at each look: memory by process, in KiB, and connections to PostgreSQL in all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Growth {
    memory: BTreeMap<u32, Vec<u64>>,
    connections: Vec<i64>,
}

/// From then on a client has all its connections and sessions.
const WARM: usize = 10;

impl Growth {
    /// Memory when warm and at the most, of each client that was warm.
    fn memory(&self) -> impl Iterator<Item = (u64, u64)> {
        self.memory.values().filter_map(|looks| Some((*looks.get(WARM)?, *looks[WARM..].iter().max()?)))
    }

    /// Whether so many clients were there long enough to tell.
    pub(crate) fn is_known(&self) -> bool {
        self.memory().count() >= KINDS.len()
    }

    /// A quarter more memory is the allocator's; a connection more is one too many.
    pub(crate) fn is_flat(&self) -> bool {
        let pools: i64 = KINDS.iter().map(|_| i64::from(POOL)).sum();
        self.memory().all(|(warm, most)| most <= warm + warm / 4)
            && self.connections.iter().all(|connections| *connections <= pools)
    }
}

impl Display for Growth {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let most = self.connections.iter().max().unwrap_or(&0);
        write!(f, "connections {most} at most, memory of each client from and to:")?;
        self.memory().try_for_each(|(warm, most)| write!(f, " {:.1}-{:.1}", mib(warm), mib(most)))?;
        f.write_str(" MiB")
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
