//! The databases, the clients of each store, and the faults.

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

/// A fault.
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

    /// The faults that do not affect the server.
    pub(crate) const OF_CLIENTS: &[Self] = &[Self::ConnectionsEnded, Self::ClientsKilled];
}

/// The stores on PostgreSQL. Each one gets a process.
const KINDS: [Kind; 3] = [Kind::Blocking, Kind::Asynchronous, Kind::Pipelined];

const THREADS: usize = 4;
/// The size of a client's connection pool.
const POOL: u32 = 5;
const VALUE_SIZE: usize = 200;

/// How long the server is paused. This is less than a call may take.
const STANDSTILL: Duration = Duration::from_secs(2);

/// After this many acknowledged calls of each client, the database is considered available again.
const CALLS: u64 = 200;

/// Settings of a server that keeps acknowledged writes when it crashes. Most tests use a server that does not.
pub const DURABLE: [&str; 3] = ["fsync=on", "synchronous_commit=on", "full_page_writes=on"];

/// How long to retry if a lock is not available, like the crate's migrations.
const PATIENCE: Duration = Duration::from_secs(60);

const PARTITION: &str = include_str!("../../docs/scaling/partition.sql");

pub(crate) struct Scene {
    on_postgres: (Vec<Store>, Clients),
    on_sqlite: Option<(Store, Clients, TempDir)>,
    growth: Growth,
    url: String,
    /// The last field, so that the server is dropped after its clients.
    server: Option<Server>,
}

impl Scene {
    /// Starts the servers and the clients.
    pub(crate) fn new(url: Option<&str>, program: &Path) -> Result<Self> {
        let server = match url {
            Some(_) => None,
            None => Some(Server::start(&DURABLE)?),
        };
        let url = url.map(str::to_owned).or(server.as_ref().map(|server| server.url("postgres")));
        let url = url.context("the URL of the server is missing")?;
        let stores: Vec<_> = KINDS.iter().map(|kind| Store::new(*kind, &url).pool_size(POOL)).collect();
        ensure!(stores[0].open()?.live()? == 0, "the database has live sessions: use one without any");
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

    /// Injects a fault and waits until every client is served again.
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
                // The client that has run longest is killed, and a new one for the same store takes its place.
                clients.kill_one()?;
                stores.rotate_left(1);
                clients.start(stores.last().context("no store")?, THREADS)?;
                if let Some((store, clients, _)) = &mut self.on_sqlite {
                    clients.kill_one()?;
                    clients.start(store, THREADS)?;
                }
            }
            (other, None) => bail!("{other:?} needs a throwaway server: leave out --url"),
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

    /// Changes the tables while starting processes ask for their migrations. The PostgreSQL table becomes partitioned,
    /// as an operator would do it. The SQLite table goes back to an earlier version and then to this one.
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
                ensure!(ran == 0, "{ran} migrations ran again");
            }
            migrated.join().expect("migrating does not panic").context("SQLite")?;
            partitioned.join().expect("partitioning does not panic")
        })?;
        self.wait()
    }

    /// Measures the clients' memory and connections.
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

    /// Stops all clients and looks for everything that was acknowledged.
    pub(crate) fn end(self) -> Result<Report> {
        let (stores, clients) = self.on_postgres;
        let report = clients.settle(&*stores[0].open()?)?;
        Ok(match self.on_sqlite {
            Some((store, clients, _directory)) => report.and(clients.settle(&*store.open()?)?),
            None => report,
        })
    }
}

/// The clients' connections, without those of the watcher and those that Citus makes to itself.
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
    ensure!(ran == 1, "{ran} migrations ran instead of the one that was reverted");
    Ok(())
}

/// Each measurement of the clients: memory by process, in KiB, and the total number of connections to PostgreSQL.
#[derive(Debug, Clone, Default)]
pub(crate) struct Growth {
    memory: BTreeMap<u32, Vec<u64>>,
    connections: Vec<i64>,
}

/// After this many measurements, a client has all its connections and sessions.
const WARM: usize = 10;

impl Growth {
    /// Returns, for each client with enough measurements, the memory when warm and the most after that.
    fn memory(&self) -> impl Iterator<Item = (u64, u64)> {
        self.memory.values().filter_map(|looks| Some((*looks.get(WARM)?, *looks[WARM..].iter().max()?)))
    }

    /// Whether enough clients ran long enough to judge.
    pub(crate) fn is_known(&self) -> bool {
        self.memory().count() >= KINDS.len()
    }

    /// Whether memory and connections stayed flat. A quarter more memory is due to the allocator. One connection more
    /// than the pools have is a leak.
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
