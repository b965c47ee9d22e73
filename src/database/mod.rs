//! The typed queries that each database answers for sessions: [`Queries`]. Each database has its folder.
//!
//! Each query is a future, so that it is written once for connections that block and for those that do not. On a
//! connection that blocks it is ready at once: see [`now_or_never`].

use std::future::Future;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryResult;

use crate::error::{Error, MigrationError};
use crate::key::StoredKey;
use crate::options::{Deadline, Period, Renewal};
use crate::session::{OwnedSession, Session};
use crate::table::SessionTable;

mod blocking;
mod cached_update;
pub(crate) mod key;
pub(crate) mod record;
#[cfg_attr(not(feature = "web"), allow(dead_code, reason = "only web frameworks save whole sessions"))]
mod saves;
#[cfg_attr(
    not(feature = "web"),
    allow(dead_code, reason = "only web frameworks continue a session that they have ended")
)]
mod tombstones;

pub(crate) use blocking::{BlockingConnection, now_or_never};
pub(crate) use cached_update::cached_update;
pub(crate) use saves::{SaveQueries, SavedText};
pub(crate) use tombstones::{Ledger, Tombstone, TombstoneQueries};

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
    note = "a pooled connection dereferences to its connection: pass `&mut *conn`"
)]
pub trait SessionConnection: BlockingConnection + SaveQueries + Migrate {}

/// The result of a query, at once or later.
pub trait QueryFuture<T>: Future<Output = QueryResult<T>> + Send {}

impl<T, F: Future<Output = QueryResult<T>> + Send> QueryFuture<T> for F {}

/// The queries. Each is one statement, except those that ask for the time first. None judges what its answer means.
/// *Live* is decided here alone: `expire_date` is after the database's clock; equal is dead.
pub trait Queries: Send {
    /// The database's name, as its feature has it.
    const NAME: &'static str;

    /// The value of the live session under the key, and what is left of its period.
    fn load_live(&mut self, key: &StoredKey) -> impl QueryFuture<Option<(Option<String>, TimeDelta)>>;

    /// Whether there is a live session under the key.
    fn is_live(&mut self, key: &StoredKey) -> impl QueryFuture<bool>;

    /// The texts of the live session under the key. Locks the session until the transaction ends.
    fn lock_live(&mut self, key: &StoredKey) -> impl QueryFuture<Option<Texts>>;

    /// Inserts a session without a label that begins now and expires after `period`; `false` if the key is taken.
    fn insert(
        &mut self,
        key: &StoredKey,
        value: Option<&str>,
        owner: Option<&str>,
        period: Period,
    ) -> impl QueryFuture<bool>;

    /// Inserts any session. It began at a given time, or begins now if that is earlier; `false` if the key is taken.
    fn insert_since(
        &mut self,
        key: &StoredKey,
        row: NewRow<'_>,
        since: DateTime<Utc>,
        deadline: Deadline,
    ) -> impl QueryFuture<bool>;

    /// The live session under the key.
    fn find_live(&mut self, key: &StoredKey) -> impl QueryFuture<Option<Session>>;

    /// Gives the live session under the key a value, and renews its expiry; `false` if there is none.
    fn update_live(&mut self, key: &StoredKey, value: &str, renewal: Renewal) -> impl QueryFuture<bool>;

    /// The same if its value is the expected one; `false` if it is another one, or there is no session.
    fn replace_live(
        &mut self,
        key: &StoredKey,
        expected: Option<&str>,
        value: &str,
        renewal: Renewal,
    ) -> impl QueryFuture<bool>;

    /// Records that the live session under the key is in use, and gives it a later expiry if there is one. Writes if the
    /// expiry gains so much, or if the last record is older than the interval; `false` if neither is so, or there is no
    /// session.
    fn prolong_live(
        &mut self,
        key: &StoredKey,
        deadline: Deadline,
        gain: Period,
        interval: Period,
    ) -> impl QueryFuture<bool>;

    /// The same for a session that keeps its expiry.
    fn use_live(&mut self, key: &StoredKey, interval: Period) -> impl QueryFuture<bool>;

    /// Gives the live session under the key a label, or none; `false` if there is no session.
    fn label_live(&mut self, key: &StoredKey, label: Option<&str>) -> impl QueryFuture<bool>;

    /// Moves the live session to another key, and leaves a tombstone under the old one; `false` if there is no session.
    fn rekey_live(&mut self, old: &StoredKey, new: &StoredKey, lifetime: Period) -> impl QueryFuture<bool>;

    /// Deletes the session under the key, live or not; `false` where there is none.
    fn delete(&mut self, key: &StoredKey) -> impl QueryFuture<bool>;

    /// Deletes at most `limit` expired sessions, the longest expired first.
    fn delete_expired(&mut self, limit: u32) -> impl QueryFuture<usize>;

    /// How many sessions there are, and how many of them are live. Tombstones do not count.
    fn count(&mut self) -> impl QueryFuture<(i64, i64)>;

    /// Whether there is a session table.
    fn has_table(&mut self) -> impl QueryFuture<bool>;
}

/// Transactions for what takes more than one statement.
pub trait Transactions: Liveness {
    /// Begins a transaction in which a row that was read can be written; a savepoint in the caller's.
    fn begin(&mut self) -> impl QueryFuture<()>;

    /// Ends the transaction, or the savepoint, and keeps what was done in it.
    fn commit(&mut self) -> impl QueryFuture<()>;

    /// Ends the transaction, or the savepoint, and undoes what was done in it.
    fn roll_back(&mut self) -> impl QueryFuture<()>;
}

/// A connection of a pool, which can be lost.
pub trait Liveness: Queries {
    /// Whether the database is at the far end of a connection that can be lost.
    const REMOTE: bool;

    /// Whether the connection has an open transaction, or cannot tell.
    fn is_in_transaction(&mut self) -> bool;

    /// Whether the database answers.
    fn ping(&mut self) -> impl QueryFuture<()>;

    /// Lets the pool drop the connection when it gets it back.
    fn give_up(&mut self);
}

/// The queries for sessions of one owner. A tombstone of a session has another owner: see [`Tombstone`].
pub trait OwnerQueries: TombstoneQueries {
    /// Gives the live session under the key an owner, or none; `false` where there is no session.
    fn own_live(&mut self, key: &StoredKey, owner: Option<&str>) -> impl QueryFuture<bool>;

    /// At most `limit` live sessions of an owner, the newest first, that stand after this time and key in such a list.
    fn load_owned(
        &mut self,
        owner: &str,
        after: (DateTime<Utc>, StoredKey),
        limit: i64,
    ) -> impl QueryFuture<Vec<(StoredKey, OwnedSession)>>;

    /// How many live sessions an owner has under other keys than this one.
    fn count_owned(&mut self, owner: &str, but: &StoredKey) -> impl QueryFuture<i64>;

    /// The keys of an owner's oldest live sessions under other keys than this one, the oldest first.
    fn oldest_owned(&mut self, owner: &str, but: &StoredKey, limit: i64) -> impl QueryFuture<Vec<StoredKey>>;

    /// Deletes the sessions under these keys that are live and the owner's, and returns the keys of these.
    fn delete_owned(&mut self, keys: &[StoredKey], owner: &str) -> impl QueryFuture<Vec<StoredKey>>;

    /// The time, no earlier than the date of a session that begins now.
    fn now(&mut self) -> impl QueryFuture<DateTime<Utc>>;

    /// The date of an owner's newest session, live or not.
    fn newest_owned(&mut self, owner: &str) -> impl QueryFuture<Option<DateTime<Utc>>>;

    /// Whether one of these owners has a session, live or not, under another key than these that is no newer than
    /// `until`: in one statement, so that a renewal at the same time cannot hide a session from it.
    fn has_until(
        &mut self,
        owners: [&str; 2],
        but: [&StoredKey; 2],
        until: DateTime<Utc>,
    ) -> impl QueryFuture<bool>;

    /// Deletes the oldest `limit` sessions of an owner, live or not, that are under another key than this one and whose
    /// dates lie from the first to the second; and counts those that were live at the time `now`.
    fn delete_until(
        &mut self,
        owner: &str,
        but: &StoredKey,
        dates: (DateTime<Utc>, DateTime<Utc>),
        now: DateTime<Utc>,
        limit: i64,
    ) -> impl QueryFuture<Deleted>;

    /// Locks this owner until the transaction ends.
    fn lock_owner(&mut self, owner: &str) -> impl QueryFuture<()>;
}

/// A session's value, owner and label.
pub(crate) type Texts = (Option<String>, Option<String>, Option<String>);

/// The row of a new session, without its key and its dates.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "it holds a value")]
pub struct NewRow<'a> {
    pub(crate) value: Option<&'a str>,
    pub(crate) owner: Option<&'a str>,
    pub(crate) label: Option<&'a str>,
}

/// The result of a delete.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deleted {
    pub(crate) sessions: usize,
    /// How many of these were live.
    pub(crate) live: usize,
    /// The date of the newest one.
    pub(crate) newest: Option<DateTime<Utc>>,
}

impl Deleted {
    /// Of sessions by their dates, and whether each was live.
    pub(crate) fn of(sessions: &[(DateTime<Utc>, bool)]) -> Self {
        let live = sessions.iter().filter(|(_, was_live)| *was_live).count();
        let newest = sessions.iter().map(|(created, _)| *created).max();
        Self { sessions: sessions.len(), live, newest }
    }
}

/// The migrations of a database: the module `migrations` says what each method does.
pub trait Migrate {
    /// Whether a table can be in a schema that has a name.
    const HAS_SCHEMAS: bool;

    /// Runs the missing migrations, one process at a time, in one transaction, and returns how many that was.
    fn migrate_table(&mut self, table: &SessionTable) -> Result<usize, MigrationError>;

    /// Checks the table. Changes nothing.
    fn check_table(&mut self, table: &SessionTable) -> Result<(), MigrationError>;

    /// Checks that queries on this connection go to this table.
    fn find_table(&mut self, table: &SessionTable) -> Result<(), MigrationError>;

    /// Reverts the newest migration and returns its version.
    fn revert_newest(&mut self, table: &SessionTable) -> Result<String, MigrationError>;
}

impl SessionTable {
    /// Refuses a schema that this database cannot have.
    pub(crate) fn check_schema<C: Migrate>(&self) -> Result<(), Error> {
        let Some(schema) = &self.schema else { return Ok(()) };
        if C::HAS_SCHEMAS {
            return schema.check();
        }
        let reason = "this database has no schemas: keep the sessions in a separate file".to_owned();
        Err(Error::Configuration { setting: "schema", reason })
    }
}
