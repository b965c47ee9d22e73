//! The databases, the clients of each store, and the faults.

use std::ops::DerefMut;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_session::{DieselSession, KeyStorage, migrations};
use tempfile::TempDir;
use throwaway_postgres::Supervised;

use crate::clients::Clients;
use crate::growth::Growth;
use crate::mariadb;
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

/// A throwaway server.
type Server = Box<dyn DerefMut<Target = Supervised>>;

pub(crate) struct Scene {
    on_postgres: (Vec<Store>, Clients),
    /// If a URL names the server, there is none on SQLite and none on MariaDB.
    on_sqlite: Option<(Store, Clients)>,
    on_mariadb: Option<(Store, Clients)>,
    growth: Growth,
    url: String,
    _files: TempDir,
    /// The last field, so that a server is dropped after its clients.
    servers: Vec<Server>,
}

impl Scene {
    /// Starts the servers and the clients.
    pub(crate) fn new(url: Option<&str>, program: &Path) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let (url, servers, sqlite, mariadb): (_, Vec<Server>, _, _) = if let Some(url) = url {
            (url.to_owned(), Vec::new(), None, None)
        } else {
            let postgres = throwaway_postgres::Server::start(&DURABLE)?;
            let (server, mariadb) = mariadb::start(&[])?;
            let file = files.path().join("sessions.sqlite");
            let sqlite = Store::new(Kind::Sqlite, file.to_str().context("the directory's name")?);
            let url = postgres.url("postgres");
            (url, vec![Box::new(postgres), Box::new(server)], Some(sqlite), Some(mariadb))
        };
        let stores: Vec<_> = KINDS.iter().map(|kind| Store::new(*kind, &url).pool_size(POOL)).collect();
        ensure!(stores[0].open()?.live()? == 0, "the database has live sessions: use one without any");
        let mut clients = Clients::new(program, VALUE_SIZE);
        for store in &stores {
            clients.start(store, THREADS)?;
        }
        let loaded = |store: Store| {
            let store = store.pool_size(POOL);
            let mut clients = Clients::new(program, VALUE_SIZE);
            clients.start(&store, THREADS)?;
            anyhow::Ok((store, clients))
        };
        let (on_sqlite, on_mariadb) = (sqlite.map(loaded).transpose()?, mariadb.map(loaded).transpose()?);
        let remote = stores.len() + usize::from(on_mariadb.is_some());
        let growth = Growth::of(u32::try_from(remote)?, POOL);
        let on_postgres = (stores, clients);
        Ok(Self { on_postgres, on_sqlite, on_mariadb, growth, url, _files: files, servers })
    }

    /// Injects a fault and waits until every client is served again.
    pub(crate) fn inject(&mut self, fault: Fault) -> Result<()> {
        ensure!(
            Fault::OF_CLIENTS.contains(&fault) || !self.servers.is_empty(),
            "{fault:?} needs a throwaway server: leave out --url"
        );
        let (stores, clients) = &mut self.on_postgres;
        if fault != Fault::ClientsKilled {
            clients.note_fault();
            if let Some((_, clients)) = &mut self.on_mariadb {
                clients.note_fault();
            }
        }
        match fault {
            Fault::ServerKilled => {
                for server in &mut self.servers {
                    server.kill()?;
                    server.start_again()?;
                }
            }
            Fault::ServerShutDown => {
                for server in &mut self.servers {
                    server.stop()?;
                    server.start_again()?;
                }
            }
            Fault::ServerStandsStill => {
                for server in &mut self.servers {
                    server.pause()?;
                }
                thread::sleep(STANDSTILL);
                for server in &mut self.servers {
                    server.resume()?;
                }
            }
            Fault::ConnectionsEnded => {
                let end =
                    format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OF_CLIENTS}");
                watcher(&self.url)?.batch_execute(&end)?;
                if let Some((store, _)) = &self.on_mariadb {
                    mariadb::end_connections(&store.address)?;
                }
            }
            Fault::ClientsKilled => {
                // The client that has run longest is killed, and a new one for the same store takes its place.
                clients.kill_one()?;
                stores.rotate_left(1);
                clients.start(stores.last().context("no store")?, THREADS)?;
                for (store, clients) in self.on_sqlite.iter_mut().chain(&mut self.on_mariadb) {
                    clients.kill_one()?;
                    clients.start(store, THREADS)?;
                }
            }
        }
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        self.on_postgres.1.wait_for(CALLS)?;
        let mut beside = self.on_sqlite.iter_mut().chain(&mut self.on_mariadb);
        beside.try_for_each(|(_, clients)| clients.wait_for(CALLS))
    }

    /// Changes the tables while starting processes ask for their migrations. The PostgreSQL table becomes partitioned,
    /// as an operator would do it. The SQLite table goes back to an earlier version and then to this one. On MariaDB the
    /// migrations run again.
    pub(crate) fn migrate(&mut self) -> Result<()> {
        let (url, is_ours) = (&self.url, !self.servers.is_empty());
        let address = |on: &Option<(Store, Clients)>| on.as_ref().map(|(store, _)| store.address.clone());
        let (sqlite, mariadb) = (address(&self.on_sqlite), address(&self.on_mariadb));
        thread::scope(|scope| {
            let partitioned = scope.spawn(|| if is_ours { partition(url) } else { Ok(()) });
            let starting: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| DieselSession::<PgConnection>::connect(url)?.migrate()))
                .collect();
            let changed = scope.spawn(|| {
                sqlite.map_or(Ok(()), |file| revert_and_migrate(&file)).context("SQLite")?;
                mariadb.map_or(Ok(()), |url| mariadb::migrate_again(&url)).context("MariaDB")
            });
            for start in starting {
                let ran = start.join().expect("migrating does not panic")?;
                ensure!(ran == 0, "{ran} migrations ran again");
            }
            changed.join().expect("migrating does not panic")?;
            partitioned.join().expect("partitioning does not panic")
        })?;
        self.wait()
    }

    /// Measures the clients' memory and connections.
    pub(crate) fn look(&mut self) -> Result<()> {
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {OF_CLIENTS}");
        let mut connections: i64 = dsl::sql::<BigInt>(&count).get_result(&mut watcher(&self.url)?)?;
        if let Some((store, _)) = &self.on_mariadb {
            connections += i64::try_from(mariadb::connections(&store.address)?)?;
        }
        let beside = self.on_sqlite.iter().chain(&self.on_mariadb).map(|(_, clients)| clients);
        let processes = beside.chain([&self.on_postgres.1]).flat_map(Clients::processes);
        self.growth.look(processes, connections)
    }

    pub(crate) fn growth(&self) -> Growth {
        self.growth.clone()
    }

    /// Stops all clients and looks for everything that was acknowledged.
    pub(crate) fn end(self) -> Result<Report> {
        let (stores, clients) = self.on_postgres;
        let report = clients.settle(&*stores[0].open()?)?;
        let mut beside = self.on_sqlite.into_iter().chain(self.on_mariadb);
        beside.try_fold(report, |report, (store, clients)| Ok(report.and(clients.settle(&*store.open()?)?)))
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
