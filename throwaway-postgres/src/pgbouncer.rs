//! A PgBouncer in front of a throwaway server.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use crate::{Server, run_as_postgres, script};

/// Ends the pooler when standard input ends.
const SUPERVISOR: &str = r#""$1" -q "$2" & cat >/dev/null; kill -INT $!; wait $!"#;

/// A running pooler. It ends when this is dropped or its process dies. Its files are in the server's directory.
#[derive(Debug)]
pub struct PgBouncer {
    directory: PathBuf,
    input: Option<ChildStdin>,
    supervisor: Child,
}

impl PgBouncer {
    /// Starts the installed pooler for every database of the server. `settings` are lines of `pgbouncer.ini`.
    ///
    /// # Errors
    ///
    /// Fails if PgBouncer is not installed or does not start.
    pub fn start(server: &Server, settings: &[&str]) -> io::Result<Self> {
        Self::begin(Path::new("pgbouncer"), server, settings)
    }

    /// Starts the given program instead of the installed one. It runs a copy in the server's directory, because the
    /// server's user may not have access to the program's own directory.
    ///
    /// # Errors
    ///
    /// Fails if the program is missing or does not start.
    pub fn start_program(program: &Path, server: &Server, settings: &[&str]) -> io::Result<Self> {
        let copy = server.directory().join("pgbouncer");
        if !copy.exists() {
            std::fs::copy(program, &copy)?;
        }
        Self::begin(&copy, server, settings)
    }

    fn begin(program: &Path, server: &Server, settings: &[&str]) -> io::Result<Self> {
        let directory = server.directory().to_owned();
        let here = directory.display();
        let file = directory.join("pgbouncer.ini");
        std::fs::write(
            &file,
            format!(
                "[databases]\n* = host={here} user=postgres\n[pgbouncer]\nlisten_port = 6432\nunix_socket_dir = {here}\n\
                 auth_type = any\nlogfile = {here}/pgbouncer.log\nmax_client_conn = 500\n{}\n",
                settings.join("\n"),
            ),
        )?;
        let mut supervise = script(SUPERVISOR);
        supervise.args([program, &file]).env("PATH", "/usr/sbin:/usr/bin:/bin");
        run_as_postgres(&mut supervise)?;
        let mut supervisor = supervise.stdin(Stdio::piped()).spawn()?;
        let input = supervisor.stdin.take();
        let bouncer = Self { directory: directory.clone(), input, supervisor };
        let started = Instant::now();
        // An earlier pooler may have left its socket. No process listens on that.
        while UnixStream::connect(directory.join(".s.PGSQL.6432")).is_err() {
            if started.elapsed() > Duration::from_secs(20) {
                return Err(io::Error::other("PgBouncer did not start: is it installed?"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(bouncer)
    }

    /// Returns the URL of one of the server's databases through the pooler, for the server's superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@/{database}?host={}&port=6432", self.directory.display())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.supervisor.wait();
    }
}
