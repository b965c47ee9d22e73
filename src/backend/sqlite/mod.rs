//! The queries on SQLite.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::{auto_type, count, count_star, exists, select};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::blocking::Blocks;
use super::cached_update::cached_update;
use super::{InspectedRow, Queries, SessionConnection};
use crate::key::StoredKey;
use crate::rules::{Expiry, Period};
use crate::schema::KeyParameter;
use crate::schema::sqlite::session;

mod owners;

#[diesel::declare_sql_function]
extern "SQL" {
    /// Days since noon in 4714 BC. `unixepoch('now', 'subsec')` is NULL before SQLite 3.42.
    fn julianday(time: Text) -> Double;
    #[sql_name = "min"]
    fn least(one: BigInt, other: BigInt) -> BigInt;
}

diesel::table! {
    sqlite_master (name) {
        name -> Text,
        #[sql_name = "type"]
        kind -> Text,
    }
}

diesel::alias!(session as candidates: Candidates);

/// Milliseconds since 1970 in UTC.
#[auto_type]
fn milliseconds_now() -> _ {
    let now: milliseconds_at = milliseconds_at(julianday("now"));
    now
}

/// `CAST((julianday - 2440587.5) * 86400000.0 + 0.5 AS BIGINT)`. SQLite's clock has whole milliseconds; in days they
/// come out a little less or a little more. Without the half, one instant in two was the millisecond before, and a
/// session lived as much too long.
#[auto_type]
fn milliseconds_at(day: julianday<&'static str>) -> _ {
    let epoch: f64 = 2_440_587.5;
    let milliseconds: f64 = 86_400_000.0;
    let half: f64 = 0.5;
    ((day - epoch) * milliseconds + half).cast::<BigInt>()
}

#[auto_type]
fn live() -> _ {
    session::expire_date.gt(milliseconds_now())
}

#[auto_type(no_type_alias)]
fn live_under<'a>(key: &'a StoredKey) -> _ {
    let key: KeyParameter<'a> = KeyParameter::from(key);
    session::session_key.eq(key).and(live())
}

/// The expiry of a live session that is written to.
#[auto_type(no_type_alias)]
fn expire_date(expiry: Expiry) -> _ {
    let period: i64 = milliseconds(expiry.period);
    let lifetime: i64 = milliseconds(expiry.lifetime);
    least(milliseconds_now() + period, session::created_on + lifetime)
}

/// An expiry that is worth a write.
#[auto_type(no_type_alias)]
fn later_by(step: Period) -> _ {
    let step: i64 = milliseconds(step);
    session::expire_date + step
}

const HOUR: i64 = 3_600_000;

/// Rounded down, so that no session outlives what was asked for.
fn milliseconds(period: Period) -> i64 {
    period.microseconds().div_euclid(1_000)
}

impl SessionConnection for SqliteConnection {}

impl Blocks for SqliteConnection {
    /// A transaction that reads first is refused its first write where another has written meanwhile.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
}

impl Queries for SqliteConnection {
    const NAME: &'static str = "sqlite";

    async fn load_live(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>, TimeDelta)>> {
        session::table
            .filter(live_under(key))
            .select((session::session_data, session::expire_date - milliseconds_now()))
            .get_result::<(Option<String>, i64)>(self)
            .optional()
            .map(|row| row.map(|(value, left)| (value, TimeDelta::milliseconds(left))))
    }

    async fn is_live(&mut self, key: &StoredKey) -> QueryResult<bool> {
        session::table.filter(live_under(key)).count().get_result::<i64>(self).map(|rows| rows == 1)
    }

    /// The whole database is locked, by `BEGIN`.
    async fn lock_live(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>,)>> {
        session::table.filter(live_under(key)).select((session::session_data,)).get_result(self).optional()
    }

    async fn insert(
        &mut self,
        key: &StoredKey,
        value: Option<&str>,
        owner: Option<&str>,
        period: Period,
    ) -> QueryResult<bool> {
        let period = milliseconds(period);
        diesel::insert_into(session::table)
            .values((
                session::session_key.eq(KeyParameter::from(key)),
                session::expire_date.eq(milliseconds_now() + period),
                session::session_data.eq(value),
                session::owner.eq(owner),
                // A trigger would do it by a second write.
                session::expire_hour.eq(((milliseconds_now() + period) / HOUR).nullable()),
            ))
            .on_conflict(session::session_key)
            .do_nothing()
            .execute(self)
            .map(|rows| rows == 1)
    }

    async fn insert_since(
        &mut self,
        key: &StoredKey,
        value: Option<&str>,
        owner: Option<&str>,
        since: DateTime<Utc>,
        expiry: Expiry,
    ) -> QueryResult<bool> {
        let since = since.timestamp_millis();
        let begun = || least(since.into_sql::<BigInt>(), milliseconds_now());
        let end = || {
            let end_of_life = begun() + milliseconds(expiry.lifetime);
            least(milliseconds_now() + milliseconds(expiry.period), end_of_life)
        };
        diesel::insert_into(session::table)
            .values((
                session::session_key.eq(KeyParameter::from(key)),
                session::created_on.eq(begun()),
                session::expire_date.eq(end()),
                session::session_data.eq(value),
                session::owner.eq(owner),
                session::expire_hour.eq((end() / HOUR).nullable()),
            ))
            .on_conflict(session::session_key)
            .do_nothing()
            .execute(self)
            .map(|rows| rows == 1)
    }

    async fn inspect_live(&mut self, key: &StoredKey) -> QueryResult<Option<InspectedRow>> {
        session::table
            .filter(live_under(key))
            .select((session::session_data, session::created_on, session::expire_date - milliseconds_now()))
            .get_result::<(Option<String>, i64, i64)>(self)
            .optional()
            .map(|row| {
                row.map(|(value, created, left)| (value, date(created), TimeDelta::milliseconds(left)))
            })
    }

    async fn update_live(&mut self, key: &StoredKey, value: &str, expiry: Expiry) -> QueryResult<bool> {
        let value = session::session_data.eq(value);
        // The usual case has a statement of its own: a lifetime that nobody set would cost a quarter more.
        let rows = if expiry.is_endless() {
            let expire_date = milliseconds_now() + milliseconds(expiry.period);
            let changes = (value, session::expire_date.eq(expire_date));
            cached_update(session::table, changes, live_under(key)).execute(self)?
        } else {
            let changes = (value, session::expire_date.eq(expire_date(expiry)));
            cached_update(session::table, changes, live_under(key)).execute(self)?
        };
        Ok(rows == 1)
    }

    async fn replace_live(
        &mut self,
        key: &StoredKey,
        expected: Option<&str>,
        value: &str,
        expiry: Expiry,
    ) -> QueryResult<bool> {
        let changes = (session::session_data.eq(value), session::expire_date.eq(expire_date(expiry)));
        let expected = session::session_data.is(expected);
        cached_update(session::table, changes, live_under(key).and(expected))
            .execute(self)
            .map(|rows| rows == 1)
    }

    async fn prolong_live(&mut self, key: &StoredKey, expiry: Expiry, step: Period) -> QueryResult<bool> {
        let is_worth_it = || live_under(key).and(expire_date(expiry).ge(later_by(step)));
        // An UPDATE waits for the one writer, also where it finds nothing to write.
        if session::table.filter(is_worth_it()).count().get_result::<i64>(self)? == 0 {
            return Ok(false);
        }
        let changes = session::expire_date.eq(expire_date(expiry));
        cached_update(session::table, changes, is_worth_it()).execute(self).map(|rows| rows == 1)
    }

    /// An UPDATE, which PostgreSQL distributed by Citus refuses to a key.
    async fn rekey_live(&mut self, old: &StoredKey, new: &StoredKey, lifetime: Period) -> QueryResult<bool> {
        let lifetime = session::created_on + milliseconds(lifetime);
        let changes = (
            session::session_key.eq(KeyParameter::from(new)),
            session::expire_date.eq(least(session::expire_date, lifetime)),
        );
        cached_update(session::table, changes, live_under(old)).execute(self).map(|rows| rows == 1)
    }

    async fn delete(&mut self, key: &StoredKey) -> QueryResult<bool> {
        diesel::delete(session::table.filter(session::session_key.eq(KeyParameter::from(key))))
            .execute(self)
            .map(|rows| rows == 1)
    }

    async fn delete_expired(&mut self, limit: u32) -> QueryResult<usize> {
        // Only hours that are over, by the index on the hour. `expire_date` alone says what has expired: the
        // hour is a column that anybody can write. SQLite runs the subquery once, and nobody writes meanwhile.
        let expired = candidates
            .filter(candidates.field(session::expire_hour).lt((milliseconds_now() / HOUR).nullable()))
            .filter(candidates.field(session::expire_date).le(milliseconds_now()))
            .order(candidates.field(session::expire_hour))
            .select(candidates.field(session::session_key))
            .limit(limit.into());
        diesel::delete(session::table.filter(session::session_key.eq_any(expired))).execute(self)
    }

    async fn count(&mut self) -> QueryResult<(i64, i64)> {
        session::table
            .select((count_star(), count(session::session_key).aggregate_filter(live())))
            .get_result(self)
    }

    async fn has_table(&mut self) -> QueryResult<bool> {
        let tables = sqlite_master::table
            .filter(sqlite_master::kind.eq("table"))
            .filter(sqlite_master::name.eq("session"));
        select(exists(tables)).get_result(self)
    }
}

/// A date that nobody can show is taken for the nearest that somebody can.
fn date(milliseconds: i64) -> DateTime<Utc> {
    let nearest = if milliseconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp_millis(milliseconds).unwrap_or(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_its_own_millisecond() {
        let mut conn = SqliteConnection::establish(":memory:").expect("SQLite in memory");
        for milliseconds in (1_795_000_000_000..).step_by(86_397_003).take(2_000) {
            let instant = DateTime::<Utc>::from_timestamp_millis(milliseconds).expect("a date");
            let text: &'static str = instant.format("%F %T%.3f").to_string().leak();
            let read = select(milliseconds_at(julianday(text))).get_result(&mut conn);
            assert_eq!(read, Ok(milliseconds), "{text}");
        }
    }
}
