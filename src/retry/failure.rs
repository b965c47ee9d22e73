//! Decides what a failed attempt means for the next one.

use diesel::result::DatabaseErrorKind::{ReadOnlyTransaction, SerializationFailure};
use diesel::result::Error::DatabaseError;

use crate::database::Liveness;
use crate::error::Error;

/// Why an attempt failed.
pub(super) enum Failure {
    /// The connection was lost. The operation may have taken effect, and can be repeated.
    Lost(diesel::result::Error),
    /// The connection was lost. The operation may have taken effect, and cannot be repeated.
    Unknown(diesel::result::Error),
    /// The server takes no writes on this connection. Nothing was done, and another connection may lead elsewhere.
    ReadOnly(diesel::result::Error),
    /// Another transaction was in conflict, under an isolation stricter than the default. Nothing was done.
    Conflict(diesel::result::Error),
    Other(Error),
}

/// The error that the caller gets.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost(source) => Self::ConnectionLost { source },
            Failure::Unknown(source) => Self::OutcomeUnknown { source },
            Failure::ReadOnly(source) => Self::ReadOnly { source },
            Failure::Conflict(source) => Self::Database(source),
            Failure::Other(error) => error,
        }
    }
}

impl Failure {
    /// Classifies an error that an operation on this connection returned. `is_ours` says that no transaction was open
    /// before the operation.
    pub(super) async fn of<C: Liveness>(error: Error, conn: &mut C, is_ours: bool) -> Self {
        match error {
            // Otherwise it is a test's transaction: a new connection would have a new, empty one.
            Error::Database(source) if is_ours => Self::explain(source, conn).await,
            other => Self::Other(other),
        }
    }

    /// The same failure, for an operation that cannot be repeated.
    pub(super) fn for_good(self) -> Self {
        match self {
            Self::Lost(source) => Self::Unknown(source),
            other => other,
        }
    }

    /// Classifies a database error outside of a transaction.
    async fn explain<C: Liveness>(source: diesel::result::Error, conn: &mut C) -> Self {
        if matches!(source, DatabaseError(SerializationFailure, _)) {
            return Self::Conflict(source);
        }
        if matches!(source, DatabaseError(ReadOnlyTransaction, _)) {
            // Otherwise it stays in the pool, although new connections may take writes after a failover or a changed
            // setting.
            conn.give_up();
            return Self::ReadOnly(source);
        }
        // Diesel hides the SQLSTATE of a missing table. It sometimes takes a lost connection for another error, and
        // another error for a lost connection. So ask the database.
        match conn.has_table().await {
            Ok(false) => Self::Other(Error::MissingTable { source }),
            Err(_) if C::REMOTE => {
                // Otherwise the pool may keep it: a statement that fails before it is sent leaves no mark.
                conn.give_up();
                Self::Lost(source)
            }
            Ok(true) if conn.is_read_only().await == Ok(true) => {
                conn.give_up();
                Self::ReadOnly(source)
            }
            Ok(true) | Err(_) => Self::Other(Error::Database(source)),
        }
    }
}
