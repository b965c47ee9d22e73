//! A shell that supervises a server.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Returns the command that runs a script of `/bin/sh`; the script's arguments are missing. It has its own process group,
/// so that the terminal's signals do not reach it.
#[must_use]
pub fn script(text: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", text, "supervise"]).current_dir("/").process_group(0);
    command
}

/// A server that a script supervises. Dropping it stops the server and removes its directory. So does the end of its
/// process.
///
/// The script prints the server's directory when the server accepts connections. Then it obeys the lines on its standard
/// input, and answers each with the line's first word. When its standard input ends, it stops the server and removes the
/// directory.
#[derive(Debug)]
pub struct Supervised {
    directory: PathBuf,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    supervisor: Child,
}

impl Supervised {
    /// Runs a [`script`]. `failed` is the text of the error if the script ends before the server accepts connections.
    ///
    /// # Errors
    ///
    /// Fails if the server does not start.
    pub fn start(mut script: Command, failed: &str) -> io::Result<Self> {
        let mut supervisor = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let missing = || io::Error::other("the supervisor has no pipe");
        let commands = supervisor.stdin.take().ok_or_else(missing)?;
        let mut answers = BufReader::new(supervisor.stdout.take().ok_or_else(missing)?);
        let mut directory = String::new();
        if answers.read_line(&mut directory)? == 0 {
            return Err(io::Error::other(failed));
        }
        Ok(Self { directory: directory.trim_end().into(), commands: Some(commands), answers, supervisor })
    }

    /// The directory of the server's files and of its Unix socket.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stops the server and ends every connection. On PostgreSQL this is an immediate shutdown.
    ///
    /// # Errors
    ///
    /// Fails if the script has ended.
    pub fn stop(&mut self) -> io::Result<()> {
        self.tell("stop")
    }

    /// Kills the server's main process with a signal that it cannot catch. Waits until the other processes have noticed
    /// and ended.
    ///
    /// # Errors
    ///
    /// Fails if the script has ended.
    pub fn kill(&mut self) -> io::Result<()> {
        self.tell("kill")
    }

    /// Kills all processes of the server at once. A client that waits for an answer gets none: its connection ends
    /// instead.
    ///
    /// # Errors
    ///
    /// Fails if the script has ended.
    pub fn kill_all(&mut self) -> io::Result<()> {
        self.tell("kill all")
    }

    /// Starts the server again with the data that it had.
    ///
    /// # Errors
    ///
    /// Fails if the server does not start.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.tell("start")
    }

    /// Stops every process of the server without ending it (`SIGSTOP`). Connections stay open, and nothing answers.
    ///
    /// # Errors
    ///
    /// Fails if the script has ended.
    pub fn pause(&mut self) -> io::Result<()> {
        self.tell("pause")
    }

    /// Continues a paused server.
    ///
    /// # Errors
    ///
    /// Fails if the script has ended.
    pub fn resume(&mut self) -> io::Result<()> {
        self.tell("resume")
    }

    /// Gives the script a command, and waits until it is done.
    ///
    /// # Errors
    ///
    /// Fails if the script has ended, or if it ends because the command failed.
    pub fn tell(&mut self, command: &str) -> io::Result<()> {
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

impl Drop for Supervised {
    fn drop(&mut self) {
        // The end of its standard input makes the script stop the server, remove the directory and end.
        self.commands = None;
        let _ = self.supervisor.wait();
    }
}
