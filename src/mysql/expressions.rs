//! The SQL expressions in the queries on MariaDB.

use diesel::dsl::{AssumeNotNull, auto_type};
use diesel::expression::{AsExpression, Expression};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text};

use super::clock::MillisecondsNow;
use super::table::{session, tables};
use crate::database::key::KeyParameter;
use crate::database::milliseconds::milliseconds;
use crate::key::StoredKey;
use crate::options::{Deadline, Period};

#[diesel::declare_sql_function]
extern "SQL" {
    fn least(one: BigInt, other: BigInt) -> BigInt;
    fn greatest(one: BigInt, other: BigInt) -> BigInt;
    fn coalesce(one: Nullable<BigInt>, other: BigInt) -> BigInt;
    fn concat(one: Nullable<Text>, other: Nullable<Text>) -> Nullable<Text>;
    fn database() -> Nullable<Text>;
    fn md5(of: Nullable<Text>) -> Nullable<Text>;
    /// Returns 1 if the session has the lock now, and 0 if it did not get it in time.
    fn get_lock(name: Text, seconds: Double) -> Nullable<BigInt>;
    fn release_lock(name: Text) -> Nullable<BigInt>;
}

diesel::alias!(session as candidates: Candidates);

// A quotient in whole numbers. `/` would make a DECIMAL.
diesel::infix_operator!(WholeQuotient, " DIV ", BigInt, backend: Mysql);

// MariaDB's IS NOT DISTINCT FROM.
diesel::infix_operator!(NullSafeEq, " <=> ", backend: Mysql);

/// Whether both are equal, or both are null. The answer is never null.
pub(super) fn same<L, R>(left: L, right: R) -> AssumeNotNull<NullSafeEq<L, R::Expression>>
where
    L: Expression<SqlType = Nullable<Text>>,
    R: AsExpression<Nullable<Text>>,
{
    NullSafeEq::new(left, right.as_expression()).assume_not_null()
}

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

/// The assignment that is part of every write. MariaDB assigns from left to right, so no assignment of a query reads a
/// column that one before it has set.
#[auto_type(no_type_alias)]
pub(super) fn used_now() -> _ {
    session::used_on.eq(MillisecondsNow.nullable())
}

/// Whether a row of the server's list is the table of this name in the connection's database.
#[auto_type(no_type_alias)]
pub(super) fn is_table<'a>(name: &'a str) -> _ {
    tables::table_schema.nullable().eq(database()).and(tables::table_name.eq(name))
}
