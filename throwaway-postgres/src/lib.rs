//! A PostgreSQL server for one test, in a temporary directory and on a Unix socket. It ends with the test's process.
//!
//! The server runs from the installed binaries. PostgreSQL refuses to run as root, so a test that runs as root starts
//! it as the user `postgres`. A shell supervises the server and stops it when the test's process ends, even if that was
//! killed.

mod pgbouncer;
mod supervised;

pub use pgbouncer::PgBouncer;
pub use supervised::{Supervised, script};

use std::fs::Permissions;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SUPERVISOR: &str = include_str!("supervise.sh");

/// Settings of every server. They favour speed over durability, because the data is thrown away.
const SETTINGS: [&str; 4] =
    ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"];

/// A running server. [`Supervised`] has the commands that break it. Dropping it stops the server and removes its
/// directory. So does the end of its process.
#[derive(Debug)]
pub struct Server(Supervised);

impl Server {
    /// Starts a server with additional settings, each written as `name=value`.
    ///
    /// # Errors
    ///
    /// Fails if there are no server binaries or the server does not start. The server's log then goes to standard
    /// error.
    pub fn start(settings: &[&str]) -> io::Result<Self> {
        Self::begin(Path::new(""), settings)
    }

    /// Starts a standby of this server: it copies the data and follows by streaming replication.
    ///
    /// # Errors
    ///
    /// See [`start`](Self::start).
    pub fn standby(&self, settings: &[&str]) -> io::Result<Self> {
        Self::begin(self.directory(), settings)
    }

    fn begin(primary: &Path, settings: &[&str]) -> io::Result<Self> {
        let binaries = binaries()?;
        let mut supervise = script(SUPERVISOR);
        supervise.arg(&binaries).arg(primary);
        for setting in SETTINGS.iter().chain(settings) {
            supervise.args(["-c", setting]);
        }
        run_as_postgres(&mut supervise)?;
        Supervised::start(supervise, "PostgreSQL did not start: see its log above").map(Self)
    }

    /// Returns the URL of one of the server's databases, for the superuser. The `host` in its query is the one that
    /// counts. The other one is there because some clients refuse a URL without it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.directory().display())
    }

    /// Returns everything that the server has logged so far.
    ///
    /// # Errors
    ///
    /// Fails if the log cannot be read.
    pub fn log(&self) -> io::Result<String> {
        std::fs::read_to_string(self.directory().join("log"))
    }

    /// Starts the server again with a limit on the size of each file that it writes, in MiB. Any file that has grown to
    /// the limit behaves as on a full disk. One segment of the write-ahead log already has 16 MiB.
    ///
    /// # Errors
    ///
    /// Fails if the server does not start.
    pub fn start_again_with_files_up_to(&mut self, mebibytes: u32) -> io::Result<()> {
        self.0.tell(&format!("start {}", mebibytes * 2048))
    }

    /// Promotes a standby to a primary, and returns when it accepts writes.
    ///
    /// # Errors
    ///
    /// Fails if this server is not a standby.
    pub fn promote(&mut self) -> io::Result<()> {
        self.0.tell("promote")
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

/// Returns the URL of another database on the same server, or `None` if `url` is not a URL.
#[must_use]
pub fn with_database(url: &str, name: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = address.split_once('/').map_or(address, |(authority, _)| authority);
    Some(format!("{scheme}://{authority}/{name}?{query}"))
}

/// Returns the directory of the newest installed server's binaries, or the one that `PG_BIN` names.
///
/// # Errors
///
/// Fails if there are none.
pub fn binaries() -> io::Result<PathBuf> {
    if let Some(named) = std::env::var_os("PG_BIN") {
        return Ok(named.into());
    }
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = debian
        .filter_map(|version| Some((version.file_name().to_str()?.parse::<u32>().ok()?, version.path())))
        .max()
        .map(|(_, path)| path.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest
        .into_iter()
        .chain(std::env::split_paths(&path))
        .find(|directory| directory.join("initdb").exists())
        .ok_or_else(|| io::Error::other("no PostgreSQL server is installed: `apt install postgresql`, or set PG_BIN to the directory of its binaries"))
}

/// Makes the server's user the owner of a file and the only one who can read it. PostgreSQL refuses a key that others
/// can read.
///
/// # Errors
///
/// Fails if the owner or the permissions cannot be changed.
pub fn give_to_server(file: &Path) -> io::Result<()> {
    if std::fs::metadata("/proc/self")?.uid() == 0 {
        let (user, group) = user("postgres")?;
        chown(file, Some(user), Some(group))?;
    }
    std::fs::set_permissions(file, Permissions::from_mode(0o600))
}

/// Makes a command run as `postgres` if the test runs as root, because PostgreSQL and PgBouncer refuse root.
fn run_as_postgres(command: &mut Command) -> io::Result<()> {
    if std::fs::metadata("/proc/self")?.uid() == 0 {
        let (user, group) = user("postgres")?;
        command.uid(user).gid(group);
    }
    Ok(())
}

fn user(name: &str) -> io::Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    let found = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (user, id, group) = (fields.next()?, fields.nth(1)?, fields.next()?);
        (user == name).then(|| Some((id.parse().ok()?, group.parse().ok()?)))?
    });
    found.ok_or_else(|| io::Error::other(format!("PostgreSQL does not run as root: create the user {name}")))
}
