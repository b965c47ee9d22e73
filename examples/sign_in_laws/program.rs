//! The program as users run it, in a temporary directory for one test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use diesel::SqliteConnection;
use diesel_session::{DieselSession, Sessions as _};
use tempfile::TempDir;

use crate::{DATABASE, PROGRAM};

/// The program. It runs until this is dropped.
pub(crate) struct Program {
    pub(crate) address: String,
    process: Child,
    directory: TempDir,
}

impl Program {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Command::new(PROGRAM)
            .current_dir(directory.path())
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let address = said.trim().strip_prefix("listening on ").expect("it starts").to_owned();
        Self { address, process, directory }
    }

    /// Returns the labels of a user's live sessions in the table, sorted.
    pub(crate) fn labels_of(&self, user: &str) -> Vec<String> {
        let file = self.directory.path().join(DATABASE);
        let sessions = DieselSession::<SqliteConnection>::connect(file.to_str().unwrap()).unwrap();
        let labels = sessions.sessions_of(user, 100).unwrap().into_iter().map(|session| session.label);
        let mut labels: Vec<String> =
            labels.map(|label| label.expect("every sign-in names its device")).collect();
        labels.sort_unstable();
        labels
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        assert!(ended.is_ok() || std::thread::panicking(), "{ended:?}");
    }
}
