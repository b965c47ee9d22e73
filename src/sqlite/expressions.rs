//! What the queries on SQLite are made of.

use chrono::{DateTime, Utc};
use diesel::dsl::auto_type;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::table::session;
use crate::database::key::KeyParameter;
use crate::key::StoredKey;
use crate::options::{Deadline, Period};

#[diesel::declare_sql_function]
extern "SQL" {
    /// Days since noon in 4714 BC. `unixepoch('now', 'subsec')` is NULL before SQLite 3.42.
    fn julianday(time: Text) -> Double;
    #[sql_name = "min"]
    fn least(one: BigInt, other: BigInt) -> BigInt;
    fn coalesce(one: Nullable<BigInt>, other: BigInt) -> BigInt;
}

diesel::alias!(session as candidates: Candidates);

/// Milliseconds since 1970 in UTC.
#[auto_type]
pub(super) fn milliseconds_now() -> _ {
    let now: milliseconds_at = milliseconds_at(julianday("now"));
    now
}

/// `CAST((julianday - 2440587.5) * 86400000.0 + 0.5 AS BIGINT)`. SQLite's clock has whole milliseconds; in days they
/// come out a little less or a little more. Without the half, one instant in two was the millisecond before, and a
/// session lived as much too long.
#[auto_type]
pub(super) fn milliseconds_at(day: julianday<&'static str>) -> _ {
    let epoch: f64 = 2_440_587.5;
    let milliseconds: f64 = 86_400_000.0;
    let half: f64 = 0.5;
    ((day - epoch) * milliseconds + half).cast::<BigInt>()
}

#[auto_type]
pub(super) fn live() -> _ {
    session::expire_date.gt(milliseconds_now())
}

#[auto_type(no_type_alias)]
pub(super) fn live_under<'a>(key: &'a StoredKey) -> _ {
    let key: KeyParameter<'a> = KeyParameter::from(key);
    session::session_key.eq(key).and(live())
}

/// The expiry of a live session that is written to.
#[auto_type(no_type_alias)]
pub(super) fn expire_date(deadline: Deadline) -> _ {
    let period: i64 = milliseconds(deadline.period);
    let lifetime: i64 = milliseconds(deadline.lifetime);
    least(milliseconds_now() + period, session::created_on + lifetime)
}

/// An expiry that is worth a write.
#[auto_type(no_type_alias)]
pub(super) fn later_by(step: Period) -> _ {
    let step: i64 = milliseconds(step);
    session::expire_date + step
}

/// When a session was last written, or else when it began.
#[auto_type]
pub(super) fn used() -> _ {
    coalesce(session::used_on, session::created_on)
}

/// What every write sets.
#[auto_type(no_type_alias)]
pub(super) fn used_now() -> _ {
    session::used_on.eq(milliseconds_now().nullable())
}

pub(super) const HOUR: i64 = 3_600_000;

/// Rounded down, so that no session outlives what was asked for.
pub(super) fn milliseconds(period: Period) -> i64 {
    period.microseconds().div_euclid(1_000)
}

/// A date that nobody can show is taken for the nearest that somebody can.
pub(super) fn date(milliseconds: i64) -> DateTime<Utc> {
    let nearest = if milliseconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp_millis(milliseconds).unwrap_or(nearest)
}

#[cfg(test)]
mod tests {
    use diesel::dsl::select;

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
