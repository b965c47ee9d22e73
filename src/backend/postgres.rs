//! The queries on PostgreSQL, each in a form that Citus accepts too.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::data_types::PgInterval;
use diesel::dsl::{array, auto_type, select};
use diesel::prelude::*;
use diesel::sql_types::{Array, Text, Timestamp};

use super::cached_update::cached_update;
use super::{Queries, SessionConnection};
use crate::key::StoredKey;
use crate::rules::Period;
use crate::schema::KeyParameter;
use crate::schema::postgres::{FixedChar, session};

#[diesel::declare_sql_function]
extern "SQL" {
    /// Moves inside a transaction, where `now()` stands still; and unlike `clock_timestamp()` it is
    /// stable, so that indexes serve it and Citus takes it.
    fn statement_timestamp() -> Timestamptz;
    fn date_trunc(unit: Text, of: Timestamp) -> Timestamp;
    /// As a function, so that Diesel's subqueries fit: `= ANY(ARRAY(SELECT ...))` is run once, where
    /// `IN (SELECT ... LIMIT n)` may be run again and delete more than `n`.
    #[sql_name = "ANY"]
    fn any_of(keys: Array<FixedChar>) -> FixedChar;
    fn to_regclass(name: Text) -> Nullable<Oid>;
}
diesel::operator_allowed!(statement_timestamp, Add, add);

diesel::alias!(session as candidates: Candidates);

#[auto_type(no_type_alias)]
fn live() -> _ {
    session::expire_date.gt(statement_timestamp())
}

/// The column rounds to 10 ms: less half of that makes it a floor, so that no session outlives what was
/// asked for. Microseconds alone, since an interval's days would follow a change to summer time.
fn interval(period: Period) -> PgInterval {
    PgInterval::from_microseconds(period.microseconds() - 5_000)
}

impl SessionConnection for PgConnection {}

impl Queries for PgConnection {
    fn load_live(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>, TimeDelta)>> {
        session::table
            .filter(session::session_key.eq(KeyParameter::from(key)).and(live()))
            .select((session::session_data, session::expire_date, statement_timestamp()))
            .first::<(Option<String>, DateTime<Utc>, DateTime<Utc>)>(self)
            .optional()
            .map(|row| row.map(|(value, expire_date, now)| (value, expire_date - now)))
    }

    fn insert(&mut self, key: &StoredKey, value: Option<&str>, period: Period) -> QueryResult<bool> {
        diesel::insert_into(session::table)
            .values((
                session::session_key.eq(KeyParameter::from(key)),
                session::expire_date.eq(statement_timestamp() + interval(period)),
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
                session::expire_date.eq(statement_timestamp() + interval(period)),
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
        // Only hours that are over, by the index on the hour. `expire_date` is judged again outside: on
        // Citus the subquery reads a worker's clock, the DELETE the coordinator's.
        let this_hour = date_trunc("hour", statement_timestamp().at_time_zone("UTC"));
        let expired = candidates
            .filter(candidates.field(session::expire_hour).lt(this_hour))
            .order(candidates.field(session::expire_hour))
            .select(candidates.field(session::session_key))
            .limit(limit.into());
        diesel::delete(
            session::table
                .filter(session::session_key.eq(any_of(array::<FixedChar, _>(expired))))
                .filter(session::expire_date.le(statement_timestamp())),
        )
        .execute(self)
    }

    fn has_table(&mut self) -> QueryResult<bool> {
        select(to_regclass("session").is_not_null()).get_result(self)
    }
}
