//! The typed queries that each database answers for sessions: [`Queries`]. Each database has its own folder.
//!
//! Each query is a future. So it is written once, for connections that block and for those that do not. On a connection
//! that blocks, the future is ready at once: see [`now_or_never`].

use std::future::Future;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryResult;

use crate::error::{Error, MigrationError};
use crate::key::StoredKey;
use crate::options::{Deadline, Period, Renewal};
use crate::session::{OwnedSession, Session};
use crate::table::SessionTable;

mod admin;
mod blocking;
mod cached_update;
pub(crate) mod key;
#[cfg(any(feature = "mysql", feature = "sqlite"))]
pub(crate) mod milliseconds;
pub(crate) mod record;
#[cfg_attr(not(feature = "web"), allow(dead_code, reason = "only web frameworks save whole sessions"))]
mod saves;
#[cfg_attr(
    not(feature = "web"),
    allow(dead_code, reason = "only web frameworks continue a session that they have ended")
)]
mod tombstones;

pub(crate) use admin::AdminQueries;
#[cfg(feature = "tokio")]
pub(crate) use blocking::on_a_thread;
pub(crate) use blocking::{BlockingConnection, Remote, now_or_never};
pub(crate) use cached_update::cached_update;
pub(crate) use saves::{SaveQueries, SavedText};
pub(crate) use tombstones::{Ledger, Tombstone, TombstoneQueries};

/// A connection to a database that can hold sessions: Diesel's `PgConnection` with the feature `postgres`, its
/// `SqliteConnection` with the feature `sqlite`, or its `MysqlConnection` with the feature `mysql`. The trait is
/// sealed: only this crate can add a database and its queries.
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
    note = "for `PgConnection` add the feature `postgres` to diesel-session, for `SqliteConnection` the feature `sqlite`, \
            for `MysqlConnection` the feature `mysql`",
    note = "a pooled connection dereferences to its connection: pass `&mut *conn`"
)]
pub trait SessionConnection: BlockingConnection + SaveQueries + AdminQueries + Migrate {}

/// A future with the result of a query. It may be ready at once.
pub trait QueryFuture<T>: Future<Output = QueryResult<T>> + Send {}

impl<T, F: Future<Output = QueryResult<T>> + Send> QueryFuture<T> for F {}

/// The queries. Each one is a single statement, except those that first ask for the time. They do not interpret their
/// answers. Only the queries decide what is *live*: a session is live if its `expire_date` is after the database's
/// clock. If both are equal, the session is dead.
pub trait Queries: Send {
    /// The database's name, the same as its feature.
    const NAME: &'static str;

    /// Returns the value of the live session under the key, and the rest of its period.
    fn load_live(&mut self, key: &StoredKey) -> impl QueryFuture<Option<(Option<String>, TimeDelta)>>;

    /// Whether there is a live session under the key.
    fn is_live(&mut self, key: &StoredKey) -> impl QueryFuture<bool>;

    /// Returns the texts of the live session under the key. Locks the session until the transaction ends.
    fn lock_live(&mut self, key: &StoredKey) -> impl QueryFuture<Option<Texts>>;

    /// Inserts a session without a label, which begins now and expires after `period`. Returns `false` if the key is
    /// taken.
    fn insert(
        &mut self,
        key: &StoredKey,
        value: Option<&str>,
        owner: Option<&str>,
        period: Period,
    ) -> impl QueryFuture<bool>;

    /// Inserts any session. It begins at `since`, or now if that is earlier. Returns `false` if the key is taken.
    fn insert_since(
        &mut self,
        key: &StoredKey,
        row: NewRow<'_>,
        since: DateTime<Utc>,
        deadline: Deadline,
    ) -> impl QueryFuture<bool>;

    /// Returns the live session under the key.
    fn find_live(&mut self, key: &StoredKey) -> impl QueryFuture<Option<Session>>;

    /// Gives the live session under the key a value, and renews its expiry. Returns `false` if there is no live
    /// session.
    fn update_live(&mut self, key: &StoredKey, value: &str, renewal: Renewal) -> impl QueryFuture<bool>;

    /// The same, but only if the present value is the expected one. Returns `false` if it is another one, or if there
    /// is no live session.
    fn replace_live(
        &mut self,
        key: &StoredKey,
        expected: Option<&str>,
        value: &str,
        renewal: Renewal,
    ) -> impl QueryFuture<bool>;

    /// Records that the live session under the key is in use, and moves its expiry if the new one is later. Writes only
    /// if the expiry moves by at least `gain`, or if the last record is at least `interval` old. Returns `false` if
    /// neither is the case, or if there is no live session.
    fn prolong_live(
        &mut self,
        key: &StoredKey,
        deadline: Deadline,
        gain: Period,
        interval: Period,
    ) -> impl QueryFuture<bool>;

    /// Does the same for a session that keeps its expiry.
    fn use_live(&mut self, key: &StoredKey, interval: Period) -> impl QueryFuture<bool>;

    /// Gives the live session under the key a label, or none. Returns `false` if there is no live session.
    fn label_live(&mut self, key: &StoredKey, label: Option<&str>) -> impl QueryFuture<bool>;

    /// Moves the live session to another key, and leaves a tombstone under the old key. Returns `false` if there is no
    /// live session.
    fn rekey_live(&mut self, old: &StoredKey, new: &StoredKey, lifetime: Period) -> impl QueryFuture<bool>;

    /// Deletes the session under the key, live or not. Returns `false` if there is none.
    fn delete(&mut self, key: &StoredKey) -> impl QueryFuture<bool>;

    /// Deletes at most `limit` expired sessions, the longest expired first.
    fn delete_expired(&mut self, limit: u32) -> impl QueryFuture<usize>;

    /// Returns how many sessions there are, and how many of them are live. Tombstones do not count.
    fn count(&mut self) -> impl QueryFuture<(i64, i64)>;

    /// Whether there is a session table.
    fn has_table(&mut self) -> impl QueryFuture<bool>;

    /// Whether the server takes no writes. Only for a database that has no error for it.
    fn is_read_only(&mut self) -> impl QueryFuture<bool> {
        async { Ok(false) }
    }
}

/// Transactions, for operations of more than one statement.
pub trait Transactions: Liveness {
    /// Begins a transaction that can write a row that it has read. Inside the caller's transaction it begins a
    /// savepoint.
    fn begin(&mut self) -> impl QueryFuture<()>;

    /// Ends the transaction or the savepoint, and keeps its changes.
    fn commit(&mut self) -> impl QueryFuture<()>;

    /// Ends the transaction or the savepoint, and undoes its changes.
    fn roll_back(&mut self) -> impl QueryFuture<()>;
}

/// A connection of a pool. It can be lost.
pub trait Liveness: Queries {
    /// Whether the database is another process, so that a connection to it can be lost.
    const REMOTE: bool;

    /// Whether the connection has an open transaction. Also `true` if the connection cannot tell.
    fn is_in_transaction(&mut self) -> bool;

    /// Checks that the database answers.
    fn ping(&mut self) -> impl QueryFuture<()>;

    /// Marks the connection, so that the pool drops it when it comes back.
    fn give_up(&mut self);
}

/// The queries for the sessions of one owner. A tombstone of a session has another owner: see [`Tombstone`].
pub trait OwnerQueries: TombstoneQueries {
    /// Gives the live session under the key an owner, or none. Returns `false` if there is no live session.
    fn own_live(&mut self, key: &StoredKey, owner: Option<&str>) -> impl QueryFuture<bool>;

    /// Returns at most `limit` live sessions of an owner, the newest first. They are those that come after this time
    /// and key in such a list.
    fn load_owned(
        &mut self,
        owner: &str,
        after: (DateTime<Utc>, StoredKey),
        limit: i64,
    ) -> impl QueryFuture<Vec<(StoredKey, OwnedSession)>>;

    /// Counts an owner's live sessions, except the one under the key `but`.
    fn count_owned(&mut self, owner: &str, but: &StoredKey) -> impl QueryFuture<i64>;

    /// Returns the keys of at most `limit` live sessions of an owner, the oldest first. Leaves out the key `but`.
    fn oldest_owned(&mut self, owner: &str, but: &StoredKey, limit: i64) -> impl QueryFuture<Vec<StoredKey>>;

    /// Deletes the sessions under these keys that are live and belong to the owner. Returns the keys of the deleted
    /// ones.
    fn delete_owned(&mut self, keys: &[StoredKey], owner: &str) -> impl QueryFuture<Vec<StoredKey>>;

    /// Returns the time. It is no earlier than the date of a session that begins now.
    fn now(&mut self) -> impl QueryFuture<DateTime<Utc>>;

    /// Returns the date of an owner's newest session, live or not.
    fn newest_owned(&mut self, owner: &str) -> impl QueryFuture<Option<DateTime<Utc>>>;

    /// Whether one of these owners has a session that is no newer than `until`, live or not, under a key other than
    /// `but`. It is one statement, so that a renewal at the same time cannot hide a session from it.
    fn has_until(
        &mut self,
        owners: [&str; 2],
        but: [&StoredKey; 2],
        until: DateTime<Utc>,
    ) -> impl QueryFuture<bool>;

    /// Deletes the oldest `limit` sessions of an owner, live or not, with a date from the first to the second of `dates`.
    /// Keeps the session under the key `but`. Counts those that were live at the time `now`.
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
    /// How many of them were live.
    pub(crate) live: usize,
    /// The date of the newest of them.
    pub(crate) newest: Option<DateTime<Utc>>,
}

impl Deleted {
    /// Sums up deleted sessions: the date of each, and whether it was live.
    pub(crate) fn of(sessions: &[(DateTime<Utc>, bool)]) -> Self {
        let live = sessions.iter().filter(|(_, was_live)| *was_live).count();
        let newest = sessions.iter().map(|(created, _)| *created).max();
        Self { sessions: sessions.len(), live, newest }
    }
}

/// The migrations of a database. The module `migrations` describes each method.
pub trait Migrate {
    /// Whether the database has schemas with names.
    const HAS_SCHEMAS: bool;

    /// Runs the missing migrations in one transaction, one process at a time. Returns how many it ran.
    fn migrate_table(&mut self, table: &SessionTable) -> Result<usize, MigrationError>;

    /// Checks the table, and changes nothing.
    fn check_table(&mut self, table: &SessionTable) -> Result<(), MigrationError>;

    /// Checks that queries on this connection use this table, and that the server takes values of this many bytes.
    fn find_table(&mut self, table: &SessionTable, largest: usize) -> Result<(), MigrationError>;

    /// Reverts the newest migration and returns its version.
    fn revert_newest(&mut self, table: &SessionTable) -> Result<String, MigrationError>;
}

impl SessionTable {
    /// Refuses a schema if this database has none.
    pub(crate) fn check_schema<C: Migrate>(&self) -> Result<(), Error> {
        let Some(schema) = &self.schema else { return Ok(()) };
        if C::HAS_SCHEMAS {
            return schema.check();
        }
        let reason = "this database has no schemas: connect to a database for the sessions".to_owned();
        Err(Error::Configuration { setting: "schema", reason })
    }
}
