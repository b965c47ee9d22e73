//! The SQL expressions in the queries on SQLite.

use diesel::dsl::auto_type;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::clock::MillisecondsNow;
use super::table::session;
use crate::database::key::KeyParameter;
use crate::database::milliseconds::milliseconds;
use crate::key::StoredKey;
use crate::options::{Deadline, Period};

#[diesel::declare_sql_function]
extern "SQL" {
    #[sql_name = "min"]
    fn least(one: BigInt, other: BigInt) -> BigInt;
    #[sql_name = "max"]
    fn greatest(one: BigInt, other: BigInt) -> BigInt;
    fn coalesce(one: Nullable<BigInt>, other: BigInt) -> BigInt;
}

diesel::alias!(session as candidates: Candidates);

#[auto_type]
pub(super) fn live() -> _ {
    session::expire_date.gt(MillisecondsNow)
}

#[auto_type(no_type_alias)]
pub(super) fn live_under<'a>(key: &'a StoredKey) -> _ {
    let key: KeyParameter<'a> = KeyParameter::from(key);
    session::session_key.eq(key).and(live())
}

/// The new expiry of a live session that is written.
#[auto_type(no_type_alias)]
pub(super) fn expire_date(deadline: Deadline) -> _ {
    let period: i64 = milliseconds(deadline.period);
    let lifetime: i64 = milliseconds(deadline.lifetime);
    least(MillisecondsNow + period, session::created_on + lifetime)
}

/// The current expiry of a session, but not after its lifetime.
#[auto_type(no_type_alias)]
pub(super) fn kept(lifetime: Period) -> _ {
    let lifetime: i64 = milliseconds(lifetime);
    least(session::expire_date, session::created_on + lifetime)
}

/// The earliest new expiry that is worth a write: the current one plus `gain`.
#[auto_type(no_type_alias)]
pub(super) fn later_by(gain: Period) -> _ {
    let gain: i64 = milliseconds(gain);
    session::expire_date + gain
}

/// Whether the last use is at least this long ago.
#[auto_type(no_type_alias)]
pub(super) fn not_used_for(interval: Period) -> _ {
    let interval: i64 = milliseconds(interval);
    let used: used = used();
    MillisecondsNow.ge(used + interval)
}

/// The time when a session was last written, or created if it was never written.
#[auto_type]
pub(super) fn used() -> _ {
    coalesce(session::used_on, session::created_on)
}

/// The assignment that is part of every write.
#[auto_type(no_type_alias)]
pub(super) fn used_now() -> _ {
    session::used_on.eq(MillisecondsNow.nullable())
}

pub(super) const HOUR: i64 = 3_600_000;
