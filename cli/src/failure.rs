//! The reasons why a command fails. Each is one line that says what to do.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use diesel_session::{Error, MigrationError};

/// The reason why a command fails.
pub(crate) enum Failure {
    Sessions(Error),
    /// The command can't do what was asked.
    Refused(String),
    /// The output could not be written.
    Output(io::Error),
}

impl Failure {
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    /// Whether the reader of the output has gone. Then the command says no more.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sessions(error)
    }
}

impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        Self::Sessions(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// One line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Sessions(error) => line(error),
            Self::Refused(reason) => reason.clone(),
            Self::Output(error) => format!("the output could not be written: {error}"),
        };
        f.write_str(&text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// Returns what to say of an error of the library.
pub(crate) fn line(error: &Error) -> String {
    match advice(error) {
        Some((reason, mend)) => format!("{reason}: {mend}"),
        None => with_sources(error),
    }
}

/// Returns the reason and what to do, for the errors whose own text names functions of the library.
pub(crate) fn advice(error: &Error) -> Option<(String, String)> {
    const MIGRATE: &str = "run `diesel-session migrate` with a role that may create tables";
    let (reason, mend) = match error {
        Error::MissingTable { .. } => {
            ("there is no session table".to_owned(), format!("{MIGRATE}, or name its --schema"))
        }
        Error::Migration(error) => match error {
            MigrationError::Missing { versions, .. } => {
                (format!("the session table lacks {}", versions.join(", ")), MIGRATE.to_owned())
            }
            MigrationError::PlainKeys => (
                "the session table holds keys in clear".to_owned(),
                "say so with --plain-keys, or hash them with `diesel-session adopt`".to_owned(),
            ),
            MigrationError::HashedKeys => {
                ("the session table holds hashed keys".to_owned(), "leave --plain-keys out".to_owned())
            }
            MigrationError::TableDropped => (
                "the session table was created and then dropped".to_owned(),
                "run `diesel-session revert` until no migration is recorded, then `diesel-session migrate`"
                    .to_owned(),
            ),
            MigrationError::OtherSchema { found, expected, .. } => (
                format!("the session table is in {found}, and not in schema {expected}"),
                "name its --schema".to_owned(),
            ),
            MigrationError::NoSchema => (
                "no schema of the search_path exists".to_owned(),
                "create one, or name one with --schema".to_owned(),
            ),
            MigrationError::UntrustedOwner { table, owner, .. } => (
                format!("`{table}` belongs to the role {owner}"),
                format!("if you trust that role, say so with --table-owner {owner}"),
            ),
            _ => return None,
        },
        Error::PartlyCleared { ended, source, .. } => (
            format!("{ended} sessions were ended, then the database failed ({})", with_sources(source)),
            "run the command again".to_owned(),
        ),
        _ => return None,
    };
    Some((reason, mend))
}

/// Returns the texts of an error and of its sources.
pub(crate) fn with_sources(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
