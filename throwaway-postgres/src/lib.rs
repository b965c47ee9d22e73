//! A PostgreSQL server of a test's own: a temporary directory, a Unix socket, gone with its owner.
//!
//! The server runs from the installed binaries, as the user `postgres` where the test runs as root (which
//! the server refuses). A shell supervises it and ends it when the owner is gone, however that ended.

mod pgbouncer;

pub use pgbouncer::PgBouncer;

use std::fs::Permissions;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SUPERVISOR: &str = include_str!("supervise.sh");

/// Settings of every server: fast, for what it holds is thrown away.
const SETTINGS: [&str; 4] =
    ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"];

/// A running server. It ends, and its directory goes, when this is dropped or its process dies.
#[derive(Debug)]
pub struct Server {
    directory: PathBuf,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    supervisor: Child,
}

impl Server {
    /// Starts a server with further settings, each as `name=value`.
    ///
    /// # Errors
    ///
    /// Where there are no server binaries, or the server does not start; its log goes to standard error.
    pub fn start(settings: &[&str]) -> io::Result<Self> {
        Self::begin(Path::new(""), settings)
    }

    /// Starts a standby that follows this server, from a copy of its data, by streaming replication.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn standby(&self, settings: &[&str]) -> io::Result<Self> {
        Self::begin(&self.directory, settings)
    }

    fn begin(primary: &Path, settings: &[&str]) -> io::Result<Self> {
        let binaries = binaries()?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISOR, "supervise"]).arg(&binaries).arg(primary);
        for setting in SETTINGS.iter().chain(settings) {
            command.args(["-c", setting]);
        }
        run_as_postgres(&mut command)?;
        let mut supervisor = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let missing = || io::Error::other("the supervisor has no pipe");
        let commands = supervisor.stdin.take().ok_or_else(missing)?;
        let mut answers = BufReader::new(supervisor.stdout.take().ok_or_else(missing)?);
        let mut directory = String::new();
        if answers.read_line(&mut directory)? == 0 {
            return Err(io::Error::other("PostgreSQL did not start: see its log above"));
        }
        Ok(Self { directory: directory.trim_end().into(), commands: Some(commands), answers, supervisor })
    }

    /// The directory of the server's Unix socket.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The URL of one of the server's databases, as its superuser. Its `host` is the one that counts;
    /// some clients refuse a URL without another before it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.directory.display())
    }

    /// What the server has logged so far.
    ///
    /// # Errors
    ///
    /// Where the log cannot be read.
    pub fn log(&self) -> io::Result<String> {
        std::fs::read_to_string(self.directory.join("log"))
    }

    /// Ends the server at once, with every connection: PostgreSQL's immediate shutdown.
    ///
    /// # Errors
    ///
    /// Where the supervisor is gone.
    pub fn stop(&mut self) -> io::Result<()> {
        self.tell("stop")
    }

    /// Kills the server's first process by a signal that it cannot catch, and waits until its others have
    /// noticed and are gone.
    ///
    /// # Errors
    ///
    /// Where the supervisor is gone.
    pub fn kill(&mut self) -> io::Result<()> {
        self.tell("kill")
    }

    /// Kills all processes of the server at once: who waits for an answer gets none, and the end of the connection instead.
    ///
    /// # Errors
    ///
    /// Where the supervisor is gone.
    pub fn kill_all(&mut self) -> io::Result<()> {
        self.tell("kill all")
    }

    /// Starts the server again, with the data it had.
    ///
    /// # Errors
    ///
    /// Where it does not start.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.tell("start unlimited")
    }

    /// Starts the server again, which from now on can write no file beyond this size: its disk is full for
    /// whatever has grown so far. A segment of its log alone has 16 MiB.
    ///
    /// # Errors
    ///
    /// Where it does not start.
    pub fn start_again_with_files_up_to(&mut self, mebibytes: u32) -> io::Result<()> {
        self.tell(&format!("start {}", mebibytes * 2048))
    }

    /// Makes a standby take writes, and returns when it does.
    ///
    /// # Errors
    ///
    /// Where this is no standby.
    pub fn promote(&mut self) -> io::Result<()> {
        self.tell("promote")
    }

    /// Stops every process of the server, as they are: connections stay, and nothing answers.
    ///
    /// # Errors
    ///
    /// Where the supervisor is gone.
    pub fn pause(&mut self) -> io::Result<()> {
        self.tell("pause")
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    ///
    /// Where the supervisor is gone.
    pub fn resume(&mut self) -> io::Result<()> {
        self.tell("resume")
    }

    fn tell(&mut self, command: &str) -> io::Result<()> {
        let commands = self.commands.as_mut().ok_or_else(|| io::Error::other("the server is gone"))?;
        writeln!(commands, "{command}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        if command.split(' ').next() == Some(answer.trim_end()) {
            Ok(())
        } else {
            Err(io::Error::other(format!("the server did not {command}: see its log above")))
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The supervisor ends with its standard input, after the server and its directory.
        self.commands = None;
        let _ = self.supervisor.wait();
    }
}

/// The URL of another database on the same server; `None` for what is no URL.
#[must_use]
pub fn with_database(url: &str, name: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = address.split_once('/').map_or(address, |(authority, _)| authority);
    Some(format!("{scheme}://{authority}/{name}?{query}"))
}

/// The directory of the newest installed server's binaries; `PG_BIN` names another.
///
/// # Errors
///
/// Where there are none.
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
        .ok_or_else(|| io::Error::other("no PostgreSQL server is installed: `apt install postgresql`, or name its binaries' directory in PG_BIN"))
}

/// Makes a file the server's, and readable by nobody else: PostgreSQL refuses to use a key that others can read.
///
/// # Errors
///
/// Where its owner or its rights cannot be changed.
pub fn give_to_server(file: &Path) -> io::Result<()> {
    if std::fs::metadata("/proc/self")?.uid() == 0 {
        let (user, group) = user("postgres")?;
        chown(file, Some(user), Some(group))?;
    }
    std::fs::set_permissions(file, Permissions::from_mode(0o600))
}

/// Neither PostgreSQL nor PgBouncer runs as root. A process group of its own spares the child the
/// terminal's signals: it ends with its standard input.
fn run_as_postgres(command: &mut Command) -> io::Result<()> {
    command.current_dir("/").process_group(0);
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
    found.ok_or_else(|| io::Error::other(format!("PostgreSQL refuses root, and there is no user {name}")))
}
