//! The application as users run it, on a database for one test.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, thread};

use diesel::prelude::*;
use tempfile::TempDir;
use throwaway_postgres::Server;

pub(crate) mod browser;
pub(crate) mod stalled;
pub(crate) mod visitor;

use stalled::Stopped;

/// A long timeout. Everything in these tests takes much less.
pub(crate) const LATE: Duration = Duration::from_secs(60);

/// The server that the tests share. It ends with this process.
static SERVER: LazyLock<Server> =
    LazyLock::new(|| Server::start(&[]).expect("a PostgreSQL server for the tests"));

/// Creates an empty PostgreSQL database and returns its URL.
pub(crate) fn empty_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("web_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut conn = PgConnection::establish(&SERVER.url("postgres")).unwrap();
    diesel::sql_query(format!("CREATE DATABASE {name}")).execute(&mut conn).unwrap();
    SERVER.url(&name)
}

/// The running application. Dropping this stops it.
pub(crate) struct Application {
    pub(crate) port: u16,
    process: Child,
    directory: TempDir,
}

impl Application {
    /// Starts the application on SQLite, which is the default.
    pub(crate) fn on_sqlite(settings: &[(&str, &str)]) -> Self {
        Self::start(settings)
    }

    /// Starts the application on an empty PostgreSQL database.
    pub(crate) fn on_postgres(settings: &[(&str, &str)]) -> Self {
        let url = empty_database();
        Self::start(&[&[("DATABASE_URL", url.as_str())], settings].concat())
    }

    /// Starts the application on this PostgreSQL database, which other servers can use too.
    pub(crate) fn on(url: &str) -> Self {
        Self::start(&[("DATABASE_URL", url)])
    }

    fn start(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_diesel-session-web"))
            .current_dir(directory.path())
            .env_clear()
            .env("PORT", "0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let port = said.trim_end().rsplit(':').next().and_then(|port| port.parse().ok());
        let mut application = Self { port: 0, process, directory };
        application.port = port.unwrap_or_else(|| panic!("the server did not start: {}", application.log()));
        application
    }

    /// Pauses the program, as on a machine that hangs.
    pub(crate) fn stop(&self) -> Stopped {
        Stopped::process(self.process.id())
    }

    /// Returns everything that the application has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Returns the names of the files in its working directory.
    pub(crate) fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.directory.path()).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _gone = self.process.wait();
        if !thread::panicking() {
            let log = self.log();
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}

/// Generates a test of each law on each database. A law takes a function that starts the application on that database.
macro_rules! laws_on_both_databases {
    ($($law:ident)*) => {
        mod sqlite {
            $(
                #[test]
                fn $law() {
                    super::$law(crate::support::Application::on_sqlite);
                }
            )*
        }
        mod postgres {
            $(
                #[test]
                fn $law() {
                    super::$law(crate::support::Application::on_postgres);
                }
            )*
        }
    };
}
pub(crate) use laws_on_both_databases;

/// Starts the application with these settings.
pub(crate) type Start = fn(&[(&str, &str)]) -> Application;
