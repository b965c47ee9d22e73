//! A MariaDB server for one test, in a temporary directory and on a Unix socket. It ends with the test's process.
//!
//! The server runs from the installed binaries. A shell supervises the server and stops it when the test's process
//! ends, even if that was killed.

use std::io;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

use throwaway_postgres::{Supervised, script};

const SUPERVISOR: &str = include_str!("supervise.sh");

/// Settings of every server. They favour speed over durability, because the data is thrown away.
const SETTINGS: [&str; 6] = [
    "--skip-networking",
    "--innodb-flush-log-at-trx-commit=0",
    "--skip-innodb-doublewrite",
    "--innodb-log-file-size=32M",
    "--max-connections=400",
    "--skip-performance-schema",
];

/// A running server. [`Supervised`] has the commands that break it. Dropping it stops the server and removes its
/// directory. So does the end of its process.
#[derive(Debug)]
pub struct Server(Supervised);

impl Server {
    /// Starts a server with additional settings, each written as `--name=value`.
    ///
    /// # Errors
    ///
    /// Fails if there are no server binaries or the server does not start. The server's log then goes to standard
    /// error.
    pub fn start(settings: &[&str]) -> io::Result<Self> {
        let mut supervise = script(SUPERVISOR);
        supervise.args(SETTINGS).args(settings);
        let failed = "MariaDB did not start: see its log above; `apt install mariadb-server-core`";
        Supervised::start(supervise, failed).map(Self)
    }

    /// Returns the URL of one of the server's databases, for the user `root`, who may do everything.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@localhost/{database}?unix_socket={}", self.socket().display())
    }

    /// Returns the path of the server's Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory().join("socket")
    }
}

impl Deref for Server {
    type Target = Supervised;

    fn deref(&self) -> &Supervised {
        &self.0
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Supervised {
        &mut self.0
    }
}
