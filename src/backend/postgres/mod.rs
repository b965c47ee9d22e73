//! The queries on PostgreSQL, each in a form that Citus accepts too.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::data_types::PgInterval;
use diesel::dsl::{array, auto_type, exists, select};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Interval, Text, Timestamp, Timestamptz};

use super::cached_update::cached_update;
use super::{InspectedRow, Queries};
use crate::key::StoredKey;
use crate::rules::{Expiry, Period};
use crate::schema::KeyParameter;
use crate::schema::postgres::{FixedChar, session};

#[cfg(feature = "diesel-async")]
mod asynchronous;
#[cfg(feature = "postgres")]
mod libpq;
mod moved_row;
mod owners;
mod run;
mod utc_zone;

#[cfg(feature = "diesel-async")]
pub(crate) use asynchronous::{row, rows};
use moved_row::{MovedRow, gone};
pub(crate) use run::Run;
use utc_zone::UtcZone;

/// What another transaction committed is seen once its lock is had.
const BEGIN: &str = "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED";

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
    /// Grammar, and no function.
    fn least(one: Timestamptz, other: Timestamptz) -> Timestamptz;
    /// Grammar as well, so that Diesel's subqueries fit: `= ANY(ARRAY(SELECT ...))` is run once, while
    /// `IN (SELECT ... LIMIT n)` may be run again and delete more than `n`.
    #[sql_name = "ANY"]
    fn any_of(keys: Array<FixedChar>) -> FixedChar;
}
diesel::operator_allowed!(statement_timestamp, Add, add);

diesel::alias!(session as candidates: Candidates);

#[auto_type]
fn live() -> _ {
    session::expire_date.gt(statement_timestamp())
}

#[auto_type(no_type_alias)]
fn live_under<'a>(key: &'a StoredKey) -> _ {
    let key: KeyParameter<'a> = KeyParameter::from(key);
    session::session_key.eq(key).and(live())
}

/// The expiry of a live session that is written to.
#[auto_type(no_type_alias)]
fn expire_date(expiry: Expiry) -> _ {
    let period: PgInterval = interval(expiry.period);
    let lifetime: PgInterval = interval_of_life(expiry.lifetime);
    // Column and interval are added without a time zone: with one `+` is only stable, and what is stable Citus
    // lets touch no column of an UPDATE.
    let end_of_life = timezone(UtcZone, session::created_on.at_time_zone(UtcZone) + lifetime);
    least(statement_timestamp() + period, end_of_life)
}

/// When a session expires, and what time it is.
type Expires = (DateTime<Utc>, DateTime<Utc>);

/// An expiry that is worth a write.
#[auto_type(no_type_alias)]
fn later_by(step: PgInterval) -> _ {
    timezone(UtcZone, session::expire_date.at_time_zone(UtcZone) + step)
}

/// The column rounds to 10 ms: less half of that makes it a floor, so that no session outlives what was
/// asked for. Microseconds alone, since an interval's days would follow a change to summer time.
fn interval(period: Period) -> PgInterval {
    PgInterval::from_microseconds(period.microseconds() - 5_000)
}

/// From `created_on`, which may have been rounded up, too.
fn interval_of_life(lifetime: Period) -> PgInterval {
    PgInterval::from_microseconds(lifetime.microseconds() - 10_000)
}

impl<C: Run> Queries for C {
    const NAME: &'static str = "postgres";

    async fn load_live(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>, TimeDelta)>> {
        let query = session::table.filter(live_under(key)).select((
            session::session_data,
            session::expire_date,
            statement_timestamp(),
        ));
        let row: Option<(Option<String>, DateTime<Utc>, DateTime<Utc>)> = self.row(query).await?;
        Ok(row.map(|(value, expire_date, now)| (value, expire_date - now)))
    }

    async fn is_live(&mut self, key: &StoredKey) -> QueryResult<bool> {
        self.only_row(select(exists(session::table.filter(live_under(key))))).await
    }

    async fn lock_live(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>,)>> {
        let query = session::table.filter(live_under(key)).select((session::session_data,)).for_update();
        self.row(query).await
    }

    async fn insert(
        &mut self,
        key: &StoredKey,
        value: Option<&str>,
        owner: Option<&str>,
        period: Period,
    ) -> QueryResult<bool> {
        let insert = diesel::insert_into(session::table)
            .values((
                session::session_key.eq(KeyParameter::from(key)),
                session::expire_date.eq(statement_timestamp() + interval(period)),
                session::session_data.eq(value),
                session::owner.eq(owner),
            ))
            .on_conflict(session::session_key)
            .do_nothing();
        Ok(self.execute(insert).await? == 1)
    }

    async fn insert_since(
        &mut self,
        key: &StoredKey,
        value: Option<&str>,
        owner: Option<&str>,
        since: DateTime<Utc>,
        expiry: Expiry,
    ) -> QueryResult<bool> {
        let begun = || least(since.into_sql::<Timestamptz>(), statement_timestamp());
        let lifetime = interval_of_life(expiry.lifetime);
        let end_of_life = timezone(UtcZone, begun().at_time_zone(UtcZone) + lifetime);
        let insert = diesel::insert_into(session::table)
            .values((
                session::session_key.eq(KeyParameter::from(key)),
                session::created_on.eq(begun()),
                session::expire_date.eq(least(statement_timestamp() + interval(expiry.period), end_of_life)),
                session::session_data.eq(value),
                session::owner.eq(owner),
            ))
            .on_conflict(session::session_key)
            .do_nothing();
        Ok(self.execute(insert).await? == 1)
    }

    async fn inspect_live(&mut self, key: &StoredKey) -> QueryResult<Option<InspectedRow>> {
        let query = session::table.filter(live_under(key)).select((
            session::session_data,
            session::created_on,
            (session::expire_date, statement_timestamp()),
        ));
        let row: Option<(Option<String>, DateTime<Utc>, Expires)> = self.row(query).await?;
        Ok(row.map(|(value, created, (expire_date, now))| (value, created, expire_date - now)))
    }

    async fn update_live(&mut self, key: &StoredKey, value: &str, expiry: Expiry) -> QueryResult<bool> {
        let value = session::session_data.eq(value);
        // The usual case has a statement of its own: a lifetime that nobody set would cost a quarter more.
        let rows = if expiry.is_endless() {
            let expire_date = statement_timestamp() + interval(expiry.period);
            let changes = (value, session::expire_date.eq(expire_date));
            self.execute(cached_update(session::table, changes, live_under(key))).await?
        } else {
            let changes = (value, session::expire_date.eq(expire_date(expiry)));
            self.execute(cached_update(session::table, changes, live_under(key))).await?
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
        let expected = session::session_data.is_not_distinct_from(expected);
        let update = cached_update(session::table, changes, live_under(key).and(expected));
        Ok(self.execute(update).await? == 1)
    }

    async fn prolong_live(&mut self, key: &StoredKey, expiry: Expiry, step: Period) -> QueryResult<bool> {
        let step = PgInterval::from_microseconds(step.microseconds());
        let is_worth_it = expire_date(expiry).ge(later_by(step));
        let update = cached_update(
            session::table,
            session::expire_date.eq(expire_date(expiry)),
            live_under(key).and(is_worth_it),
        );
        Ok(self.execute(update).await? == 1)
    }

    async fn rekey_live(&mut self, old: &StoredKey, new: &StoredKey, lifetime: Period) -> QueryResult<bool> {
        let delete = diesel::delete(session::table.filter(live_under(old))).returning((
            session::created_on,
            session::expire_date,
            session::session_data,
            session::owner,
        ));
        let lifetime = interval_of_life(lifetime).into_sql::<Interval>();
        let end_of_life = timezone(UtcZone, gone::created_on.at_time_zone(UtcZone) + lifetime);
        let insert = gone::table
            .select((
                KeyParameter::from(new).into_sql::<FixedChar>(),
                gone::created_on,
                least(gone::expire_date, end_of_life),
                gone::session_data,
                gone::owner,
            ))
            .insert_into(session::table)
            .into_columns((
                session::session_key,
                session::created_on,
                session::expire_date,
                session::session_data,
                session::owner,
            ));
        Ok(self.execute(MovedRow { delete, insert }).await? == 1)
    }

    async fn delete(&mut self, key: &StoredKey) -> QueryResult<bool> {
        let delete = diesel::delete(session::table.filter(session::session_key.eq(KeyParameter::from(key))));
        Ok(self.execute(delete).await? == 1)
    }

    async fn delete_expired(&mut self, limit: u32) -> QueryResult<usize> {
        // Only hours that are over, by the index on the hour. `expire_date` is judged again outside: on
        // Citus the subquery reads a worker's clock, the DELETE the coordinator's.
        let this_hour = date_trunc("hour", statement_timestamp().at_time_zone(UtcZone));
        let expired = candidates
            .filter(candidates.field(session::expire_hour).lt(this_hour))
            .order(candidates.field(session::expire_hour))
            .select(candidates.field(session::session_key))
            .limit(limit.into());
        let delete = diesel::delete(
            session::table
                .filter(session::session_key.eq(any_of(array::<FixedChar, _>(expired))))
                .filter(session::expire_date.le(statement_timestamp())),
        );
        self.execute(delete).await
    }

    async fn count(&mut self) -> QueryResult<(i64, i64)> {
        let counts = (count(session::session_key), count(session::session_key).aggregate_filter(live()));
        self.only_row(session::table.select(counts)).await
    }

    async fn has_table(&mut self) -> QueryResult<bool> {
        self.only_row(select(to_regclass("session").is_not_null())).await
    }
}
