//! What the queries on PostgreSQL are made of, each in a form that Citus accepts too.

use diesel::data_types::PgInterval;
use diesel::dsl::auto_type;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamp, Timestamptz};

use super::table::session;
use super::utc_zone::UtcZone;
use crate::database::key::{FixedChar, KeyParameter};
use crate::key::StoredKey;
use crate::options::{Deadline, Period};

/// Functions, called as `pg_catalog.name` with arguments of exactly the types that they are declared for: a function of
/// the same name in a schema on the `search_path`, for other types, is never taken for one of them.
#[diesel::declare_sql_function]
extern "SQL" {
    /// Moves inside a transaction, where `now()` stands still; and unlike `clock_timestamp()` it is
    /// stable, so that indexes serve it and Citus takes it.
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
    /// Grammar, and no function, as the next two.
    fn coalesce(one: Nullable<Timestamptz>, other: Timestamptz) -> Timestamptz;
    fn least(one: Timestamptz, other: Timestamptz) -> Timestamptz;
    fn greatest(one: Timestamptz, other: Timestamptz) -> Timestamptz;
    /// Grammar as well, so that Diesel's subqueries fit: `= ANY(ARRAY(SELECT ...))` is run once, while
    /// `IN (SELECT ... LIMIT n)` may be run again and delete more than `n`.
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

/// When a session that lives so long ends at the latest.
#[auto_type]
fn end_of_life(lifetime: Period) -> _ {
    let lifetime: PgInterval = interval_of_life(lifetime);
    // Column and interval are added without a time zone: with one `+` is only stable, and what is stable Citus
    // lets touch no column of an UPDATE.
    timezone(UtcZone, session::created_on.at_time_zone(UtcZone) + lifetime)
}

/// The expiry of a live session that is written to.
#[auto_type(no_type_alias)]
pub(super) fn expire_date(deadline: Deadline) -> _ {
    let period: PgInterval = interval(deadline.period);
    let end_of_life: end_of_life = end_of_life(deadline.lifetime);
    least(statement_timestamp() + period, end_of_life)
}

/// The expiry that a session has, within its life.
#[auto_type(no_type_alias)]
pub(super) fn kept(lifetime: Period) -> _ {
    let end_of_life: end_of_life = end_of_life(lifetime);
    least(session::expire_date, end_of_life)
}

/// When a session was last written, or else when it began.
#[auto_type]
pub(super) fn used() -> _ {
    coalesce(session::used_on, session::created_on)
}

/// What every write sets.
#[auto_type(no_type_alias)]
pub(super) fn used_now() -> _ {
    session::used_on.eq(statement_timestamp().nullable())
}

/// Whether the last use was so long ago.
#[auto_type(no_type_alias)]
pub(super) fn not_used_for(interval: Period) -> _ {
    let interval: PgInterval = PgInterval::from_microseconds(interval.microseconds());
    let used: used = used();
    statement_timestamp().ge(timezone(UtcZone, used.at_time_zone(UtcZone) + interval))
}

/// An expiry that is worth a write.
#[auto_type(no_type_alias)]
pub(super) fn later_by(gain: Period) -> _ {
    let gain: PgInterval = PgInterval::from_microseconds(gain.microseconds());
    timezone(UtcZone, session::expire_date.at_time_zone(UtcZone) + gain)
}

/// The column rounds to 10 ms: less half of that makes it a floor, so that no session outlives what was
/// asked for. Microseconds alone, since an interval's days would follow a change to summer time.
pub(super) fn interval(period: Period) -> PgInterval {
    PgInterval::from_microseconds(period.microseconds() - 5_000)
}

/// From `created_on`, which may have been rounded up, too.
pub(super) fn interval_of_life(lifetime: Period) -> PgInterval {
    PgInterval::from_microseconds(lifetime.microseconds() - 10_000)
}
