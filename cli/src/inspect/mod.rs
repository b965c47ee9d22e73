//! The questions that the command itself asks a database. The library has no need of them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_session::SessionConnection;

#[cfg(any(feature = "mysql", feature = "postgres"))]
mod clock;
mod finding;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

pub(crate) use finding::{Examination, Finding, Level};
#[cfg(feature = "postgres")]
pub(crate) use postgres::{is_lent, sessions_in_clear};

diesel::table! {
    /// The library's record of the migrations that were run.
    __diesel_session_migrations (version) {
        version -> Text,
        run_on -> Timestamp,
    }
}
use __diesel_session_migrations as record;

/// A database that the command knows.
pub(crate) trait Inspect: SessionConnection {
    /// Returns the version of the newest migration that was run; `None` if there was none.
    fn newest_migration(&mut self) -> QueryResult<Option<String>>;

    /// Counts all sessions, in groups. The bounds are those of ages, of times that are left, and of values.
    fn groups(&mut self, ages: &[i64], left: &[i64], sizes: &[i64]) -> QueryResult<Vec<Group>>;

    /// Returns at most `limit` owners, those with most live sessions first.
    fn owners(&mut self, limit: i64) -> QueryResult<Vec<OwnerCount>>;

    /// Returns the size of the table on disk.
    fn sizes(&mut self) -> QueryResult<Sizes>;

    /// Looks for everything that hurts sessions in this database. `has_table` says that the table is as it should be.
    fn examine(&mut self, has_table: bool) -> Examination;
}

/// So many sessions with the same properties. A property is the place of a number among the bounds.
#[derive(QueryableByName)]
pub(crate) struct Group {
    #[diesel(sql_type = BigInt)]
    pub(crate) age: i64,
    /// Null if the sessions have expired.
    #[diesel(sql_type = Nullable<BigInt>, column_name = time_left)]
    pub(crate) left: Option<i64>,
    #[diesel(sql_type = BigInt)]
    pub(crate) size: i64,
    /// The hour in which they started, in seconds since 1970. Null if that was more than seven days ago, or will be.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(crate) hour: Option<i64>,
    #[diesel(sql_type = BigInt)]
    pub(crate) sessions: i64,
}

#[derive(QueryableByName)]
pub(crate) struct OwnerCount {
    #[diesel(sql_type = Text)]
    pub(crate) owner: String,
    #[diesel(sql_type = BigInt)]
    pub(crate) sessions: i64,
}

/// In bytes.
#[derive(QueryableByName)]
pub(crate) struct Sizes {
    #[diesel(sql_type = BigInt, column_name = heap)]
    pub(crate) table: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) indexes: i64,
}

impl Sizes {
    /// An estimate: the size grows with the number of rows.
    pub(crate) fn of_ten_times_as_many(&self) -> i64 {
        (self.table + self.indexes).saturating_mul(10)
    }
}

/// The SQL of numbers about a session, for [`groups`].
struct Numbers {
    /// The type of whole numbers, in a cast.
    integer: &'static str,
    is_live: &'static str,
    /// In seconds, as the next one.
    age: &'static str,
    left: &'static str,
    /// In bytes. Zero if there is no value.
    size: &'static str,
    /// The hour in which it started, in seconds since 1970.
    hour: &'static str,
}

/// Returns a query that reads the table once. Every part of it is a constant of this program.
fn groups(numbers: &Numbers, ages: &[i64], left: &[i64], sizes: &[i64]) -> String {
    let Numbers { integer, is_live, age, left: is_left, size, hour } = numbers;
    format!(
        "SELECT {} AS age, CASE WHEN {is_live} THEN {} END AS time_left, {} AS size, \
           CASE WHEN {age} >= 0 AND {age} < 604800 THEN {hour} END AS hour, count(*) AS sessions \
         FROM session WHERE session_key > '########################################' GROUP BY 1, 2, 3, 4",
        place(age, ages, integer),
        place(is_left, left, integer),
        place(size, sizes, integer),
    )
}

/// The place of a number among bounds.
fn place(number: &str, bounds: &[i64], integer: &str) -> String {
    let case = |(place, bound)| format!(" WHEN {number} < {bound} THEN CAST({place} AS {integer})");
    let cases: Vec<String> = bounds.iter().enumerate().map(case).collect();
    format!("CASE{} ELSE CAST({} AS {integer}) END", cases.concat(), bounds.len())
}
