//! Databases, clients of each store, and what can happen to them.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_session::DieselSession;
use tempfile::TempDir;
use throwaway_postgres::Server;

use crate::client::Clients;
use crate::memory;
use crate::report::Report;
use crate::target::{Kind, Store};

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

/// A lock that does not come is asked for again, as the migrations of the crate do.
const PATIENCE: Duration = Duration::from_secs(60);

const PARTITION: &str = include_str!("../../docs/scaling/partition.sql");

pub(crate) struct Scene {
    server: Option<Server>,
    url: String,
    on_postgres: (Vec<Store>, Clients),
    on_sqlite: Option<(Store, Clients, TempDir)>,
    growth: Growth,
}

impl Scene {
    /// Everybody is there, and at work.
    pub(crate) fn new(url: Option<&str>, program: &Path) -> Result<Self> {
        let server = match url {
            Some(_) => None,
            None => Some(Server::start(&["fsync=on", "synchronous_commit=on", "full_page_writes=on"])?),
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

    /// Breaks something, and waits until everybody is served again.
    pub(crate) fn suffer(&mut self, fault: Fault) -> Result<()> {
        let (stores, clients) = &mut self.on_postgres;
        clients.note_fault();
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
            (Fault::ConnectionsEnded, _) => PgConnection::establish(&self.url)?.batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' \
                 AND datname = current_database() AND pid <> pg_backend_pid()",
            )?,
            (Fault::ClientsKilled, _) => {
                // The one that has run longest; another like it takes its place.
                clients.kill_one()?;
                stores.rotate_left(1);
                clients.start(stores.last().context("no store")?, THREADS)?;
                if let Some((store, clients, _)) = &mut self.on_sqlite {
                    clients.note_fault();
                    clients.kill_one()?;
                    clients.start(store, THREADS)?;
                }
            }
            (other, None) => anyhow::bail!("{other:?}: there is no server of our own"),
        }
        clients.wait_for(CALLS)
    }

    /// Every starting process asks for the migrations, and meanwhile the table becomes another, as an operator's does
    /// who partitions it.
    pub(crate) fn migrate(&mut self) -> Result<()> {
        if self.server.is_some() {
            let started = Instant::now();
            while let Err(error) = PgConnection::establish(&self.url)?.batch_execute(PARTITION) {
                ensure!(started.elapsed() < PATIENCE, "the table's lock does not come: {error}");
            }
        }
        thread::scope(|scope| {
            let starting: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| DieselSession::<PgConnection>::connect(&self.url)?.migrate()))
                .collect();
            for start in starting {
                let ran = start.join().expect("migrating does not panic")?;
                ensure!(ran == 0, "{ran} migrations were run again");
            }
            Ok(())
        })?;
        self.on_postgres.1.wait_for(CALLS)
    }

    /// Measures the clients and their connections, at this part of the whole.
    pub(crate) fn look(&mut self, part: f64) -> Result<()> {
        let mut kib = 0;
        for process in self.on_postgres.1.processes() {
            kib += memory::now(process)?;
        }
        // Citus connects to itself besides.
        let connections = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' \
                           AND application_name NOT LIKE 'citus_internal%' \
                           AND datname = current_database() AND pid <> pg_backend_pid()";
        let mut conn = PgConnection::establish(&self.url)?;
        let connections = dsl::sql::<BigInt>(connections).get_result::<i64>(&mut conn)?;
        self.growth.take(part, kib, connections);
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

/// The most memory and connections of the clients on PostgreSQL, in each third of the whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Growth {
    kib: [u64; 3],
    connections: [i64; 3],
}

impl Growth {
    fn take(&mut self, part: f64, kib: u64, connections: i64) {
        let third = if part < 1.0 / 3.0 {
            0
        } else if part < 2.0 / 3.0 {
            1
        } else {
            2
        };
        self.kib[third] = self.kib[third].max(kib);
        self.connections[third] = self.connections[third].max(connections);
    }

    /// A quarter more memory is the allocator's; a connection more is one too many.
    pub(crate) fn is_flat(&self) -> bool {
        let pools: i64 = KINDS.iter().map(|_| i64::from(POOL)).sum();
        self.kib[2] <= self.kib[0] + self.kib[0] / 4 && self.connections.iter().all(|most| *most <= pools)
    }
}

impl Display for Growth {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mib = self.kib.map(|kib| kib / 1024);
        write!(f, "memory by thirds {mib:?} MiB, connections {:?}", self.connections)
    }
}
