//! The MariaDB server of the measurements, and this program's databases on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use throwaway_mariadb::Server;

use crate::server::Tidy;

/// The settings that differ from the defaults. The log is large enough that no measurement waits for a checkpoint.
pub(crate) const SETTINGS: [&str; 3] =
    ["--innodb-buffer-pool-size=2G", "--innodb-log-file-size=2G", "--innodb-doublewrite=1"];

/// A throwaway server.
pub(crate) struct Mariadb(Arc<Server>);

impl Mariadb {
    /// Starts a server. It writes and flushes its log at each commit, or once a second.
    pub(crate) fn start(commits_wait: bool) -> Result<Self> {
        let flush = format!("--innodb-flush-log-at-trx-commit={}", u8::from(commits_wait));
        let server = Server::start(&[&SETTINGS[..], &[&flush]].concat());
        Ok(Self(Arc::new(server.context("starting a MariaDB server")?)))
    }

    /// Creates an empty database.
    pub(crate) fn database(&self) -> Result<Database> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bench_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        connect(&self.0.url("mysql"))?.batch_execute(&format!("CREATE DATABASE {name}"))?;
        Ok(Database { url: self.0.url(&name), name, server: Arc::clone(&self.0) })
    }
}

fn connect(url: &str) -> Result<MysqlConnection> {
    MysqlConnection::establish(url).context("connecting to MariaDB")
}

/// A database of this program. The server runs for as long as one of its databases is used.
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) name: String,
    server: Arc<Server>,
}

impl Database {
    pub(crate) fn connect(&self) -> Result<MysqlConnection> {
        connect(&self.url)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.server.socket()
    }
}

impl Tidy for Database {
    /// Waits until the server has removed old versions of rows, which it otherwise does during the next measurement.
    fn tidy(&self) -> Result<()> {
        Ok(self.connect()?.batch_execute("SET GLOBAL innodb_max_purge_lag_wait = 0")?)
    }
}
