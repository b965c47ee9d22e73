//! What a failed attempt means for the next one.

use diesel::result::DatabaseErrorKind::{ReadOnlyTransaction, SerializationFailure};
use diesel::result::Error::DatabaseError;

use crate::database::Liveness;
use crate::error::Error;

/// Why an attempt failed.
pub(super) enum Failure {
    /// The connection is of no use any more; the operation may have taken effect, and can be repeated.
    Lost(diesel::result::Error),
    /// The same of an operation that cannot be repeated.
    Unknown(diesel::result::Error),
    /// The server takes no writes on this connection; nothing was done, and another connection may lead elsewhere.
    ReadOnly(diesel::result::Error),
    /// Another transaction was in the way, under a stricter isolation than the default; nothing was done.
    Conflict(diesel::result::Error),
    Other(Error),
}

/// As the caller is told.
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
    /// What an error means that an operation on this connection gave; `is_ours` says that there was no open
    /// transaction before it.
    pub(super) async fn of<C: Liveness>(error: Error, conn: &mut C, is_ours: bool) -> Self {
        match error {
            // Else a test's transaction: a new connection would have a new, empty one.
            Error::Database(source) if is_ours => Self::explain(source, conn).await,
            other => Self::Other(other),
        }
    }

    /// The same after what cannot be repeated.
    pub(super) fn for_good(self) -> Self {
        match self {
            Self::Lost(source) => Self::Unknown(source),
            other => other,
        }
    }

    /// What a database error means, outside a transaction.
    async fn explain<C: Liveness>(source: diesel::result::Error, conn: &mut C) -> Self {
        if matches!(source, DatabaseError(SerializationFailure, _)) {
            return Self::Conflict(source);
        }
        if matches!(source, DatabaseError(ReadOnlyTransaction, _)) {
            // Else it stays in the pool, though a failover or a setting has long changed that for new ones.
            conn.give_up();
            return Self::ReadOnly(source);
        }
        // Diesel hides the SQLSTATE of a missing table, now and then takes a lost connection for something else,
        // and something else for a lost connection. So ask.
        match conn.has_table().await {
            Ok(false) => Self::Other(Error::MissingTable { source }),
            Err(_) if C::REMOTE => {
                // Else the pool may keep it: a statement that fails before it is sent leaves no mark.
                conn.give_up();
                Self::Lost(source)
            }
            Ok(true) | Err(_) => Self::Other(Error::Database(source)),
        }
    }
}
