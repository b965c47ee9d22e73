//! What can go wrong, and what to do next. No error shows a key, a value or a password.

use std::error::Error as StdError;
use std::time::Duration;

use chrono::TimeDelta;

mod meaning;
mod migration;

pub use migration::MigrationError;

pub(crate) type BoxedError = Box<dyn StdError + Send + Sync>;

/// Why an operation did not do what was asked.
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

    /// The session is live but was generated without a value, and none was set since.
    #[error("the session has no value yet")]
    NotSet,

    /// The value is no longer the expected one, because another request has set it. Nothing was written.
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

    /// The value holds a NUL character, which PostgreSQL's text cannot. Nothing was written.
    #[error("the value has a NUL at byte {position}, which text columns cannot hold: encode the value")]
    ValueHasNul {
        /// Where the first NUL is, in bytes from the start.
        position: usize,
    },

    /// The period is longer than a database can hold as a date. Nothing was written.
    #[error("the period of {} days is out of range: at most {} days, either way", period.num_days(), limit.num_days())]
    PeriodOutOfRange {
        /// The period that was asked for.
        period: TimeDelta,
        /// The longest period, positive or negative.
        limit: TimeDelta,
    },

    /// The owner's name is too long. Nothing was written.
    #[error("the owner has {size} bytes, and a name has at most {limit}: use an identifier")]
    OwnerTooLong {
        /// The name's size, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },

    /// The owner's name holds a NUL character, which PostgreSQL's text cannot. Nothing was written.
    #[error("the owner has a NUL at byte {position}, which text columns cannot hold")]
    OwnerHasNul {
        /// Where the first NUL is, in bytes from the start.
        position: usize,
    },

    /// The owner's name starts with U+0001. The store marks the owners of sessions that are being renewed with this
    /// character. Nothing was written.
    #[error("the owner starts with U+0001, which marks sessions that are being renewed: use an identifier")]
    OwnerReserved,

    /// The owner has as many live sessions as this store allows. Nothing was written.
    #[error("the owner has {limit} live sessions already: end one of them first")]
    OwnerLimit {
        /// The limit: [`OwnerLimit::Refuse`](crate::OwnerLimit::Refuse).
        limit: u32,
    },

    /// The field that names the owner or the label holds an object, an array or a boolean. Nothing was written.
    #[cfg(feature = "web")]
    #[non_exhaustive]
    #[error("the field {field} holds neither text nor a number: name a field inside it, as a JSON pointer")]
    NotText {
        /// The field, as `owner_from` or `label_from` has it.
        field: String,
    },

    /// The data are nested so deeply that they could be saved, but not loaded. Nothing was written.
    #[cfg(feature = "web")]
    #[error(
        "the session's data are nested more than {limit} levels deep, and could not be loaded again: flatten them"
    )]
    TooDeep {
        /// The deepest level that can be loaded.
        limit: usize,
    },

    /// The label is too long. Nothing was written.
    #[error("the label has {size} bytes, and a label has at most {limit}: shorten it")]
    LabelTooLong {
        /// The label's size, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },

    /// The label holds a NUL character, which PostgreSQL's text cannot. Nothing was written.
    #[error("the label has a NUL at byte {position}, which text columns cannot hold: leave it out")]
    LabelHasNul {
        /// Where the first NUL is, in bytes from the start.
        position: usize,
    },

    /// The function of an update called the store that it updates, a clone of it, or the same options on a connection. That
    /// call did nothing.
    #[error(
        "the function of an update called the store that it updates, and would wait for itself: call it before or after"
    )]
    WithinUpdate,

    /// The value cannot be written as JSON. Nothing was written.
    #[cfg(feature = "json")]
    #[error("the value cannot be written as JSON: use strings as the keys of its maps")]
    NotJson,

    /// The text is no JSON of the expected type. The session is left as it is.
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

    /// A setting of the builder or a parameter of the connection cannot be used.
    #[error("{setting}: {reason}")]
    #[non_exhaustive]
    Configuration {
        /// The setting's name.
        setting: &'static str,
        /// Why it cannot be used, and which values can.
        reason: String,
    },

    /// No connection came free, or none could be made, within the connection timeout.
    #[error("no database connection within {waited:?}: is the server up, and the pool large enough?")]
    #[non_exhaustive]
    PoolTimeout {
        /// How long the call waited.
        waited: Duration,
        /// The pool's error, with the reason of the last connection that failed.
        source: BoxedError,
    },

    /// A pooler in transaction mode loses the prepared statements of [`AsyncDieselSession`](crate::AsyncDieselSession).
    #[cfg(feature = "diesel-async")]
    #[error(
        "a pooler in transaction mode loses prepared statements: use session mode, PgBouncer 1.21 or later with \
         max_prepared_statements, or a DieselSession with Builder::pgbouncer(true)"
    )]
    TransactionPooler,

    /// The connection was lost during the call, and no other came in time. A write may have taken effect.
    #[error("the database connection was lost, and none came in its place; a write may have taken effect")]
    #[non_exhaustive]
    ConnectionLost {
        /// The error that the lost connection gave.
        source: diesel::result::Error,
    },

    /// The connection was lost during the change, which may have taken effect or not. The store did not repeat it, because
    /// that could do it twice. Read the session again, then decide.
    #[error(
        "the database connection was lost, and the change may have taken effect or not: read the session again"
    )]
    #[non_exhaustive]
    OutcomeUnknown {
        /// The error that the lost connection gave.
        source: diesel::result::Error,
    },

    /// The connection of an `update` was lost after its function had run, each time. Nothing was written. The function
    /// runs three times at most, and fewer times on a pool of fewer connections.
    #[error(
        "the connection was lost after the update's function had run, {runs} times, and nothing was written: if the \
         function is slow, the server's idle_in_transaction_session_timeout or transaction_timeout ends its transaction"
    )]
    #[non_exhaustive]
    Interrupted {
        /// How often the function ran.
        runs: u32,
        /// The error that the last lost connection gave.
        source: diesel::result::Error,
    },

    /// Every connection that the pool could give is read-only: the server is a standby, or
    /// `default_transaction_read_only` is on, as some providers set it when a disk is full. Nothing was written, unless the
    /// same call had lost a connection before. For a second after that a call tries one connection only, so it can fail
    /// although another would serve.
    #[error(
        "the database server takes no writes: wait for a failover to end, or look at default_transaction_read_only"
    )]
    #[non_exhaustive]
    ReadOnly {
        /// The database's own error.
        source: diesel::result::Error,
    },

    /// `clear_owner` failed after some of its batches. The sessions that it ended stay ended: call it again for the rest.
    #[error("{ended} sessions were ended, and then the database failed: end the rest by another call")]
    #[non_exhaustive]
    PartlyCleared {
        /// How many live sessions were ended. A batch whose answer was lost is not counted.
        ended: usize,
        /// Why the next batch failed.
        source: Box<Error>,
    },

    /// The server took the request and did not answer in time. A write may yet take effect.
    #[error("the database server did not answer within {waited:?}; a write may yet take effect")]
    #[non_exhaustive]
    ServerTimeout {
        /// How long the call waited.
        waited: Duration,
    },

    /// The session table is not there.
    #[error("the session table is missing: run the migrations, the store's `migrate`, at startup")]
    #[non_exhaustive]
    MissingTable {
        /// The database's own error.
        source: diesel::result::Error,
    },

    /// The database accepted an INSERT and kept no row, several times.
    #[error(
        "the database kept none of {attempts} new sessions: look for a trigger or rule on the session table"
    )]
    #[non_exhaustive]
    NotInserted {
        /// How many INSERTs were tried, each with another key.
        attempts: u32,
    },

    /// The database accepted a DELETE and kept the rows, several times.
    #[error(
        "the database kept {sessions} sessions that were to end: look for a trigger, rule or policy on the session table"
    )]
    #[non_exhaustive]
    NotDeleted {
        /// How many are left.
        sessions: u64,
    },

    /// The database failed or refused. `source` is Diesel's error.
    #[error("the database failed")]
    Database(#[from] diesel::result::Error),

    /// The session table could not be brought to this version's form.
    #[error(transparent)]
    Migration(#[from] MigrationError),

    /// The operating system refused something that never fails in practice.
    #[error("the operating system gave no {what}")]
    #[non_exhaustive]
    System {
        /// The thing that it refused.
        what: &'static str,
        /// The operating system's error.
        source: BoxedError,
    },
}
