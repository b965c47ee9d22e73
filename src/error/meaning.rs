//! What an error means for a retry.

use diesel::result::DatabaseErrorKind;
use diesel::result::Error::DatabaseError;

use super::{Error, MigrationError};

impl Error {
    /// Whether the same call can succeed a moment later without a change to the program, its settings or the database.
    /// For example, the server restarts, the pool is exhausted, or another transaction caused a conflict.
    ///
    /// If the call [may have taken effect](Self::may_have_taken_effect), a second call may apply it twice. SQLite's
    /// "database is locked" is not among these errors, because Diesel does not distinguish it from others.
    ///
    /// # Examples
    ///
    /// ```
    /// use diesel_session::{Error, MemorySession, Now, SessionKey};
    ///
    /// /// Signs a visitor out. Tell the visitor only after it returns `Ok`.
    /// fn log_out(sessions: &MemorySession, key: &SessionKey) -> Result<(), Error> {
    ///     let mut cleared = sessions.clear(key);
    ///     for _ in 0..3 {
    ///         if !cleared.as_ref().is_err_and(Error::is_transient) {
    ///             break;
    ///         }
    ///         std::thread::sleep(std::time::Duration::from_secs(1));
    ///         cleared = sessions.clear(key);
    ///     }
    ///     cleared
    /// }
    ///
    /// let sessions = MemorySession::new();
    /// log_out(&sessions, &sessions.generate(None, None)?)?;
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::PoolTimeout { .. }
            | Self::ConnectionLost { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Interrupted { .. }
            | Self::ReadOnly { .. }
            | Self::ServerTimeout { .. }
            | Self::System { .. }
            | Self::Migration(MigrationError::TableBusy { .. }) => true,
            Self::PartlyCleared { source, .. } => source.is_transient(),
            Self::Database(DatabaseError(kind, _)) => matches!(
                kind,
                DatabaseErrorKind::SerializationFailure
                    | DatabaseErrorKind::ReadOnlyTransaction
                    | DatabaseErrorKind::ClosedConnection
            ),
            _ => false,
        }
    }

    /// Whether the call may have changed something despite the error. If not, nothing was written.
    ///
    /// Returns `true` for every [`Error::Database`] and [`Error::ReadOnly`], because the call may have written on a
    /// connection that it lost before. On a connection that you hold, the error itself can be that loss.
    #[must_use]
    pub fn may_have_taken_effect(&self) -> bool {
        matches!(
            self,
            Self::ConnectionLost { .. }
                | Self::Database(_)
                | Self::OutcomeUnknown { .. }
                | Self::PartlyCleared { .. }
                | Self::ReadOnly { .. }
                | Self::ServerTimeout { .. }
        )
    }
}
