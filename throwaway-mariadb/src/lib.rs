//! A MariaDB server for one test, in a temporary directory and on a Unix socket. It ends with the test's process.
//!
//! The server runs from the installed binaries. A shell supervises the server and stops it when the test's process ends,
//! even if that was killed.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

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

/// A running server. Dropping it stops the server and removes its directory. So does the end of its process.
#[derive(Debug)]
pub struct Server {
    directory: PathBuf,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    supervisor: Child,
}

impl Server {
    /// Starts a server with additional settings, each written as `--name=value`.
    ///
    /// # Errors
    ///
    /// Fails if there are no server binaries or the server does not start. The server's log then goes to standard
    /// error.
    pub fn start(settings: &[&str]) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISOR, "supervise"]).args(SETTINGS).args(settings);
        // The terminal's signals do not reach it. It ends with its standard input.
        command.current_dir("/").process_group(0);
        let mut supervisor = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let missing = || io::Error::other("the supervisor has no pipe");
        let commands = supervisor.stdin.take().ok_or_else(missing)?;
        let mut answers = BufReader::new(supervisor.stdout.take().ok_or_else(missing)?);
        let mut directory = String::new();
        if answers.read_line(&mut directory)? == 0 {
            return Err(io::Error::other(
                "MariaDB did not start: see its log above; `apt install mariadb-server-core`",
            ));
        }
        Ok(Self { directory: directory.trim_end().into(), commands: Some(commands), answers, supervisor })
    }

    /// Returns the URL of one of the server's databases, for the user `root`, who may do everything.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@localhost/{database}?unix_socket={}/socket", self.directory.display())
    }

    /// Stops the server and ends every connection.
    ///
    /// # Errors
    ///
    /// Fails if the supervisor has ended.
    pub fn stop(&mut self) -> io::Result<()> {
        self.tell("stop")
    }

    /// Kills the server with a signal that it cannot catch.
    ///
    /// # Errors
    ///
    /// Fails if the supervisor has ended.
    pub fn kill(&mut self) -> io::Result<()> {
        self.tell("kill")
    }

    /// Starts the server again with the data that it had.
    ///
    /// # Errors
    ///
    /// Fails if the server does not start.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.tell("start")
    }

    /// Stops the server's process without ending it (`SIGSTOP`). Connections stay open, and nothing answers.
    ///
    /// # Errors
    ///
    /// Fails if the supervisor has ended.
    pub fn pause(&mut self) -> io::Result<()> {
        self.tell("pause")
    }

    /// Continues a paused server.
    ///
    /// # Errors
    ///
    /// Fails if the supervisor has ended.
    pub fn resume(&mut self) -> io::Result<()> {
        self.tell("resume")
    }

    fn tell(&mut self, command: &str) -> io::Result<()> {
        let commands = self.commands.as_mut().ok_or_else(|| io::Error::other("the server is gone"))?;
        writeln!(commands, "{command}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        if command == answer.trim_end() {
            Ok(())
        } else {
            Err(io::Error::other(format!("the server did not {command}: see its log above")))
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its standard input makes the supervisor stop the server, remove the directory and end.
        self.commands = None;
        let _ = self.supervisor.wait();
    }
}
