//! What a database does for sessions: a few typed queries, one file a database, and nothing else.

use chrono::TimeDelta;
use diesel::QueryResult;
use diesel::connection::TransactionManager as _;
use diesel::r2d2::R2D2Connection;

use crate::connect::Connect;
use crate::error::MigrationError;
use crate::key::{KeyStorage, StoredKey};
use crate::rules::Period;

mod cached_update;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

/// A connection that sessions can live on: Diesel's `PgConnection` with the feature `postgres`, its
/// `SqliteConnection` with the feature `sqlite`. Sealed: a database is added here, with its queries.
///
/// # Examples
///
/// ```compile_fail
/// // No sessions without a database.
/// let builder = diesel_session::DieselSession::<()>::builder();
/// ```
#[diagnostic::on_unimplemented(
    message = "diesel-session keeps no sessions on a `{Self}`",
    label = "not a connection that this build of diesel-session knows",
    note = "for `PgConnection` add the feature `postgres` to diesel-session, for `SqliteConnection` the feature `sqlite`",
    note = "a pooled connection leads to its connection: pass `&mut *conn`"
)]
pub trait SessionConnection: Connect + Queries + Migrate {}

/// The queries: each is one statement, and none judges what its answer means. *Live* is decided here and
/// nowhere else: `expire_date` after the database's clock, equal is dead.
pub trait Queries: R2D2Connection + Send + 'static {
    /// The value of the live session under the key, and what is left of its period.
    fn load_live(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>, TimeDelta)>>;

    /// Inserts a session that expires after `period`; `false` where the key is taken.
    fn insert(&mut self, key: &StoredKey, value: Option<&str>, period: Period) -> QueryResult<bool>;

    /// Gives the live session under the key a value and a period; `false` where there is none.
    fn update_live(&mut self, key: &StoredKey, value: &str, period: Period) -> QueryResult<bool>;

    /// Deletes the session under the key, live or not; `false` where there is none.
    fn delete(&mut self, key: &StoredKey) -> QueryResult<bool>;

    /// Deletes at most `limit` expired sessions, the longest expired first.
    fn delete_expired(&mut self, limit: u32) -> QueryResult<usize>;

    /// Whether there is a session table.
    fn has_table(&mut self) -> QueryResult<bool>;

    /// Whether the connection has an open transaction, or cannot tell.
    fn is_in_transaction(&mut self) -> bool {
        let status = Self::TransactionManager::transaction_manager_status_mut(self);
        !matches!(status.transaction_depth(), Ok(None))
    }
}

/// What a database does for its session table; `migrations` implements it.
pub trait Migrate {
    /// The versions that this crate knows and the record does not, oldest first. Changes nothing.
    fn missing(&mut self) -> Result<Vec<String>, MigrationError>;

    /// Runs what is missing, one process at a time, in one transaction, and returns how many that was.
    fn run_missing(&mut self, storage: KeyStorage) -> Result<usize, MigrationError>;

    /// What the record cannot tell: refuses a table that is gone, or whose keys the storage would never find.
    fn check_table(&mut self, storage: KeyStorage) -> Result<(), MigrationError>;

    /// Reverts the newest migration and returns its version.
    fn revert_newest(&mut self) -> Result<String, MigrationError>;
}
