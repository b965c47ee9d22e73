//! The queries on SQLite.

use chrono::TimeDelta;
use diesel::dsl::{auto_type, exists, select};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::cached_update::cached_update;
use super::{Queries, SessionConnection};
use crate::key::StoredKey;
use crate::rules::Period;
use crate::schema::KeyParameter;
use crate::schema::sqlite::session;

#[diesel::declare_sql_function]
extern "SQL" {
    /// Days since noon in 4714 BC. `unixepoch('now', 'subsec')` is NULL before SQLite 3.42.
    fn julianday(time: Text) -> Double;
}

diesel::table! {
    sqlite_master (name) {
        name -> Text,
        #[sql_name = "type"]
        kind -> Text,
    }
}

diesel::alias!(session as candidates: Candidates);

/// Milliseconds since 1970 in UTC: `CAST((julianday('now') - 2440587.5) * 86400000.0 AS BIGINT)`.
#[auto_type]
fn milliseconds_now() -> _ {
    let epoch: f64 = 2_440_587.5;
    let day: f64 = 86_400_000.0;
    ((julianday("now") - epoch) * day).cast::<BigInt>()
}

#[auto_type(no_type_alias)]
fn live() -> _ {
    session::expire_date.gt(milliseconds_now())
}

/// Rounded down, so that no session outlives what was asked for.
fn milliseconds(period: Period) -> i64 {
    period.microseconds().div_euclid(1_000)
}

impl SessionConnection for SqliteConnection {}

impl Queries for SqliteConnection {
    fn load_live(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>, TimeDelta)>> {
        session::table
            .filter(session::session_key.eq(KeyParameter::from(key)).and(live()))
            .select((session::session_data, session::expire_date - milliseconds_now()))
            .first::<(Option<String>, i64)>(self)
            .optional()
            .map(|row| row.map(|(value, left)| (value, TimeDelta::milliseconds(left))))
    }

    fn insert(&mut self, key: &StoredKey, value: Option<&str>, period: Period) -> QueryResult<bool> {
        diesel::insert_into(session::table)
            .values((
                session::session_key.eq(KeyParameter::from(key)),
                session::expire_date.eq(milliseconds_now() + milliseconds(period)),
                session::session_data.eq(value),
            ))
            .on_conflict(session::session_key)
            .do_nothing()
            .execute(self)
            .map(|rows| rows == 1)
    }

    fn update_live(&mut self, key: &StoredKey, value: &str, period: Period) -> QueryResult<bool> {
        cached_update(
            session::table,
            (
                session::session_data.eq(value),
                session::expire_date.eq(milliseconds_now() + milliseconds(period)),
            ),
            session::session_key.eq(KeyParameter::from(key)).and(live()),
        )
        .execute(self)
        .map(|rows| rows == 1)
    }

    fn delete(&mut self, key: &StoredKey) -> QueryResult<bool> {
        diesel::delete(session::table.filter(session::session_key.eq(KeyParameter::from(key))))
            .execute(self)
            .map(|rows| rows == 1)
    }

    fn delete_expired(&mut self, limit: u32) -> QueryResult<usize> {
        // Only hours that are over, by the index on the hour. `expire_date` alone says what has expired: the
        // hour is a column that anybody can write. SQLite runs the subquery once, and nobody writes meanwhile.
        let hour: i64 = 3_600_000;
        let expired = candidates
            .filter(candidates.field(session::expire_hour).lt((milliseconds_now() / hour).nullable()))
            .filter(candidates.field(session::expire_date).le(milliseconds_now()))
            .order(candidates.field(session::expire_hour))
            .select(candidates.field(session::session_key))
            .limit(limit.into());
        diesel::delete(session::table.filter(session::session_key.eq_any(expired))).execute(self)
    }

    fn has_table(&mut self) -> QueryResult<bool> {
        let tables = sqlite_master::table
            .filter(sqlite_master::kind.eq("table"))
            .filter(sqlite_master::name.eq("session"));
        select(exists(tables)).get_result(self)
    }
}
