//! The SQL expressions in the queries on PostgreSQL, in forms that Citus also accepts.

use diesel::data_types::PgInterval;
use diesel::dsl::auto_type;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamp, Timestamptz};

use super::table::session;
use super::utc_zone::UtcZone;
use crate::database::key::{FixedChar, KeyParameter};
use crate::key::StoredKey;
use crate::options::{Deadline, Period};

/// The SQL functions that the queries call. Each call is written as `pg_catalog.name`, with arguments of exactly the
/// declared types. So PostgreSQL never picks a function of the same name, for other types, from a schema of the
/// `search_path`.
#[diesel::declare_sql_function]
extern "SQL" {
    /// The start of the current statement. Unlike `now()`, it advances inside a transaction. Unlike
    /// `clock_timestamp()`, it is stable, so indexes serve it and Citus accepts it.
    #[sql_name = "pg_catalog.statement_timestamp"]
    fn statement_timestamp() -> Timestamptz;
    #[sql_name = "pg_catalog.date_trunc"]
    fn date_trunc(unit: Text, of: Timestamp) -> Timestamp;
    #[sql_name = "pg_catalog.timezone"]
    fn timezone(zone: Text, of: Timestamp) -> Timestamptz;
    #[sql_name = "pg_catalog.count"]
    #[aggregate]
    fn count(key: FixedChar) -> BigInt;
    #[sql_name = "pg_catalog.max"]
    #[aggregate]
    fn latest(time: Timestamptz) -> Nullable<Timestamptz>;
    #[sql_name = "pg_catalog.to_regclass"]
    fn to_regclass(name: Text) -> Nullable<Oid>;
    #[sql_name = "pg_catalog.pg_advisory_xact_lock"]
    fn pg_advisory_xact_lock(key: BigInt) -> Bool;
    /// SQL grammar rather than a function, like the next two.
    fn coalesce(one: Nullable<Timestamptz>, other: Timestamptz) -> Timestamptz;
    fn least(one: Timestamptz, other: Timestamptz) -> Timestamptz;
    fn greatest(one: Timestamptz, other: Timestamptz) -> Timestamptz;
    /// Also grammar, which makes Diesel's subqueries fit. `= ANY(ARRAY(SELECT ...))` runs the subquery once. `IN
    /// (SELECT ... LIMIT n)` may run it again and delete more than `n` rows.
    #[sql_name = "ANY"]
    fn any_of(keys: Array<FixedChar>) -> FixedChar;
}
diesel::operator_allowed!(statement_timestamp, Add, add);

diesel::alias!(session as candidates: Candidates);

#[auto_type]
pub(super) fn live() -> _ {
    session::expire_date.gt(statement_timestamp())
}

#[auto_type(no_type_alias)]
pub(super) fn live_under<'a>(key: &'a StoredKey) -> _ {
    let key: KeyParameter<'a> = KeyParameter::from(key);
    session::session_key.eq(key).and(live())
}

/// The latest time at which a session with this lifetime ends.
#[auto_type]
fn end_of_life(lifetime: Period) -> _ {
    let lifetime: PgInterval = interval_of_life(lifetime);
    // The sum has no time zone. With one, `+` is only stable, and Citus does not let a stable function touch a column
    // of an UPDATE.
    timezone(UtcZone, session::created_on.at_time_zone(UtcZone) + lifetime)
}

/// The new expiry of a live session that is written.
#[auto_type(no_type_alias)]
pub(super) fn expire_date(deadline: Deadline) -> _ {
    let period: PgInterval = interval(deadline.period);
    let end_of_life: end_of_life = end_of_life(deadline.lifetime);
    least(statement_timestamp() + period, end_of_life)
}

/// The current expiry of a session, but not after its lifetime.
#[auto_type(no_type_alias)]
pub(super) fn kept(lifetime: Period) -> _ {
    let end_of_life: end_of_life = end_of_life(lifetime);
    least(session::expire_date, end_of_life)
}

/// The time when a session was last written, or created if it was never written.
#[auto_type]
pub(super) fn used() -> _ {
    coalesce(session::used_on, session::created_on)
}

/// The assignment that is part of every write.
#[auto_type(no_type_alias)]
pub(super) fn used_now() -> _ {
    session::used_on.eq(statement_timestamp().nullable())
}

/// Whether the last use is at least this long ago.
#[auto_type(no_type_alias)]
pub(super) fn not_used_for(interval: Period) -> _ {
    let interval: PgInterval = PgInterval::from_microseconds(interval.microseconds());
    let used: used = used();
    statement_timestamp().ge(timezone(UtcZone, used.at_time_zone(UtcZone) + interval))
}

/// The earliest new expiry that is worth a write: the current one plus `gain`.
#[auto_type(no_type_alias)]
pub(super) fn later_by(gain: Period) -> _ {
    let gain: PgInterval = PgInterval::from_microseconds(gain.microseconds());
    timezone(UtcZone, session::expire_date.at_time_zone(UtcZone) + gain)
}

/// The column rounds to 10 ms. This function subtracts half of that, which rounds down: no session outlives the period
/// that was asked for. The interval has only microseconds, because days would follow a change to daylight saving time.
pub(super) fn interval(period: Period) -> PgInterval {
    PgInterval::from_microseconds(period.microseconds() - 5_000)
}

/// Like [`interval`], for a sum with `created_on`, which may also have been rounded up.
pub(super) fn interval_of_life(lifetime: Period) -> PgInterval {
    PgInterval::from_microseconds(lifetime.microseconds() - 10_000)
}
