//! The errors of this crate. Each says what happened and what to do. No error shows a key, a value or a password.

use std::error::Error as StdError;
use std::time::Duration;

use chrono::TimeDelta;

mod meaning;
mod migration;

pub use migration::MigrationError;

pub(crate) type BoxedError = Box<dyn StdError + Send + Sync>;

/// The reason why an operation failed.
///
/// # Examples
///
/// ```
/// use diesel_session::{Error, MemorySession, Now};
///
/// let sessions = MemorySession::new();
/// let key = sessions.generate(None, None)?;
/// match sessions.get(&key) {
///     Ok((value, _left)) => println!("welcome back: {value}"),
///     Err(Error::NotSet) => println!("a new visitor"),
///     Err(Error::NotFound) => println!("log in, please"),
///     Err(other) => return Err(other),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The session is unknown, cleared or expired, or its key is malformed.
    #[error("there is no live session under this key")]
    NotFound,

    /// The session is live, but it was generated without a value, and no value has been set since.
    #[error("the session has no value yet")]
    NotSet,

    /// The value is not the expected one, because another request has set it. Nothing was written.
    #[error("another request changed the session's value: read it again, then decide")]
    Changed,

    /// The value is larger than this store's limit. Nothing was written.
    #[error(
        "the value has {size} bytes, and this store takes at most {limit}: store less, or raise the limit"
    )]
    ValueTooLarge {
        /// The value's size, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },

    /// The value contains a NUL character, which PostgreSQL cannot store in a text. Nothing was written.
    #[error("the value has a NUL at byte {position}, which text columns cannot hold: encode the value")]
    ValueHasNul {
        /// The offset of the first NUL, in bytes.
        position: usize,
    },

    /// The period is longer than a database can hold as a date. Nothing was written.
    #[error("the period of {} days is out of range: use at most {} days, positive or negative", period.num_days(), limit.num_days())]
    PeriodOutOfRange {
        /// The period that was asked for.
        period: TimeDelta,
        /// The longest period, positive or negative.
        limit: TimeDelta,
    },

    /// The owner's name is too long. Nothing was written.
    #[error("the owner has {size} bytes, more than the limit of {limit}: use a shorter identifier")]
    OwnerTooLong {
        /// The name's size, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },

    /// The owner's name contains a NUL character, which PostgreSQL cannot store in a text. Nothing was written.
    #[error("the owner has a NUL at byte {position}, which text columns cannot hold: leave it out")]
    OwnerHasNul {
        /// The offset of the first NUL, in bytes.
        position: usize,
    },

    /// The owner's name starts with U+0001. The store uses this character to mark the owners of sessions that are being
    /// renewed. Nothing was written.
    #[error("the owner starts with U+0001, which marks sessions that are being renewed: use an identifier")]
    OwnerReserved,

    /// The owner already has as many live sessions as this store allows. Nothing was written.
    #[error("the owner already has {limit} live sessions: end one of them first")]
    OwnerLimit {
        /// The limit: [`OwnerLimit::Refuse`](crate::OwnerLimit::Refuse).
        limit: u32,
    },

    /// The field that names the owner or the label holds an object, an array or a boolean. Nothing was written.
    #[cfg(feature = "web")]
    #[non_exhaustive]
    #[error("the field {field} holds neither text nor a number: name a field inside it, as a JSON pointer")]
    NotText {
        /// The field, as named in `owner_from` or `label_from`.
        field: String,
    },

    /// The data are nested so deeply that the store could save them, but not load them. Nothing was written.
    #[cfg(feature = "web")]
    #[error(
        "the session's data are nested more than {limit} levels deep, and could not be loaded again: flatten them"
    )]
    TooDeep {
        /// The deepest level that can be loaded.
        limit: usize,
    },

    /// The label is too long. Nothing was written.
    #[error("the label has {size} bytes, more than the limit of {limit}: shorten it")]
    LabelTooLong {
        /// The label's size, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },

    /// The label contains a NUL character, which PostgreSQL cannot store in a text. Nothing was written.
    #[error("the label has a NUL at byte {position}, which text columns cannot hold: leave it out")]
    LabelHasNul {
        /// The offset of the first NUL, in bytes.
        position: usize,
    },

    /// The function of an update called the store of the update, a clone of it, or the same options on a connection.
    /// That call did nothing.
    #[error(
        "the function of an update called the store that runs the update, which would deadlock: call it before or after"
    )]
    WithinUpdate,

    /// The value cannot be written as JSON. Nothing was written.
    #[cfg(feature = "json")]
    #[error("the value cannot be written as JSON: use strings as the keys of its maps")]
    NotJson,

    /// The text is not JSON of the expected type. The session stays as it is.
    #[cfg(feature = "json")]
    #[non_exhaustive]
    #[error(
        "the session's value is not of the expected type, at line {line}, column {column}: read it with the type that it was \
         written with"
    )]
    OtherShape {
        /// The line of the text, from 1; 0 if the error has no place in the text.
        line: usize,
        /// The column of the text, from 1; 0 if the error has no place in the text.
        column: usize,
    },

    /// A setting of the builder, or a parameter of the connection, cannot be used.
    #[error("{setting}: {reason}")]
    #[non_exhaustive]
    Configuration {
        /// The setting's name.
        setting: &'static str,
        /// The reason why it cannot be used, and the values that can.
        reason: String,
    },

    /// No connection was free, or none could be opened, within the connection timeout.
    #[error("no database connection within {waited:?}: check the server and the size of the pool")]
    #[non_exhaustive]
    PoolTimeout {
        /// How long the call waited.
        waited: Duration,
        /// The pool's error, with the reason why the last connection failed.
        source: BoxedError,
    },

    /// A pooler in transaction mode loses the prepared statements of [`AsyncDieselSession`](crate::AsyncDieselSession).
    #[cfg(feature = "diesel-async")]
    #[error(
        "a pooler in transaction mode loses prepared statements: use session mode, PgBouncer 1.21 or later with \
         max_prepared_statements, or a DieselSession with Builder::pgbouncer(true)"
    )]
    TransactionPooler,

    /// The connection was lost during the call, and the store got no other one in time. A write may have taken effect.
    #[error("the database connection was lost, and no other was available; a write may have taken effect")]
    #[non_exhaustive]
    ConnectionLost {
        /// The error of the lost connection.
        source: diesel::result::Error,
    },

    /// The connection was lost during the change, which may have taken effect or not. The store did not retry, because
    /// a retry could apply the change twice. Read the session again, then decide.
    #[error(
        "the database connection was lost, and the change may have taken effect or not: read the session again"
    )]
    #[non_exhaustive]
    OutcomeUnknown {
        /// The error of the lost connection.
        source: diesel::result::Error,
    },

    /// The connection of an `update` was lost after its function had run, and before anything was written. The function
    /// runs at most three times.
    #[error(
        "the connection was lost after the update's function had run {runs} times; nothing was written: if it is slow, \
         raise the server's idle_in_transaction_session_timeout and transaction_timeout, which end its transaction"
    )]
    #[non_exhaustive]
    Interrupted {
        /// How many times the function ran.
        runs: u32,
        /// The error of the connection that was lost last.
        source: diesel::result::Error,
    },

    /// Every connection that the pool gave is read-only. The server is a standby, or `default_transaction_read_only`
    /// (on MariaDB `read_only`) is on: some providers set it when a disk is full. Nothing was written, unless this call
    /// lost a connection before. For one second after this error, calls try one connection only, even if another works.
    #[error(
        "the database server is read-only: wait for the failover to end, or check the setting that makes it so"
    )]
    #[non_exhaustive]
    ReadOnly {
        /// The database's own error.
        source: diesel::result::Error,
    },

    /// `clear_owner`, `clear_others` or `clear_all` failed after some of its batches. The sessions that it ended stay
    /// ended. Call it again for the rest.
    #[error("{ended} sessions were ended, then the database failed: make the call again for the rest")]
    #[non_exhaustive]
    PartlyCleared {
        /// How many live sessions were ended, without those of a batch that got no answer.
        ended: usize,
        /// The error of the next batch.
        source: Box<Error>,
    },

    /// The server got the request and did not answer in time. A write may still take effect.
    #[error("the database server did not answer within {waited:?}; a write may still take effect")]
    #[non_exhaustive]
    ServerTimeout {
        /// How long the call waited.
        waited: Duration,
    },

    /// The session table does not exist.
    #[error("the session table is missing: run `migrate` at startup")]
    #[non_exhaustive]
    MissingTable {
        /// The database's own error.
        source: diesel::result::Error,
    },

    /// The database accepted several INSERTs, but kept no row.
    #[error(
        "the database accepted {attempts} INSERTs but kept no row: look for a trigger or rule on the session table"
    )]
    #[non_exhaustive]
    NotInserted {
        /// How many INSERTs were tried. Each had another key.
        attempts: u32,
    },

    /// The database accepted several DELETEs, but kept the rows.
    #[error(
        "the database did not delete {sessions} sessions: look for a trigger, rule or policy on the session table"
    )]
    #[non_exhaustive]
    NotDeleted {
        /// How many sessions are left.
        sessions: u64,
    },

    /// The database failed, or refused the query. `source` is Diesel's error.
    #[error("the database failed")]
    Database(#[from] diesel::result::Error),

    /// The session table could not be brought to this version's form.
    #[error(transparent)]
    Migration(#[from] MigrationError),

    /// The operating system refused something that never fails in practice.
    #[error("the operating system gave no {what}")]
    #[non_exhaustive]
    System {
        /// The thing that it did not give.
        what: &'static str,
        /// The operating system's error.
        source: BoxedError,
    },
}
