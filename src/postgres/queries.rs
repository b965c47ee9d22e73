//! The queries on PostgreSQL.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::{array, auto_type, exists, select};
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamptz};

use super::expressions::{
    any_of, candidates, count, date_trunc, expire_date, greatest, interval, interval_of_life, kept, later_by,
    least, live, live_under, not_used_for, statement_timestamp, timezone, to_regclass, used, used_now,
};
use super::moved_row::{CONTINUED, MOVED, MovedRow, end_of_moved_life, moved};
use super::run_query::RunQuery;
use super::table::session;
use super::utc_zone::UtcZone;
use crate::database::key::{FixedChar, KeyParameter, LedgerParameter};
use crate::database::{Ledger, NewRow, Queries, Texts, cached_update};
use crate::key::StoredKey;
use crate::options::{Deadline, Period, Renewal};
use crate::session::{Session, SessionHandle};

/// A session's value, owner and label; then when it was created, when it was last used, when it expires, and the
/// current time.
pub(super) type FoundRow = (
    (Option<String>, Option<String>, Option<String>),
    (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>, DateTime<Utc>),
);

/// The columns of a [`FoundRow`].
#[auto_type(no_type_alias)]
pub(super) fn everything() -> _ {
    let used: used = used();
    (
        (session::session_data, session::owner, session::label),
        (session::created_on, used, session::expire_date, statement_timestamp()),
    )
}

/// Returns the session under a key.
pub(super) fn found(key: &StoredKey, ((value, owner, label), dates): FoundRow) -> Session {
    let (created, used, expires, now) = dates;
    Session {
        handle: SessionHandle::new(key),
        value,
        owner,
        label,
        created,
        used,
        expires,
        left: expires - now,
    }
}

impl<C: RunQuery> Queries for C {
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

    async fn lock_live(&mut self, key: &StoredKey) -> QueryResult<Option<Texts>> {
        let texts = (session::session_data, session::owner, session::label);
        self.row(session::table.filter(live_under(key)).select(texts).for_update()).await
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
        row: NewRow<'_>,
        since: DateTime<Utc>,
        deadline: Deadline,
    ) -> QueryResult<bool> {
        let begun = || least(since.into_sql::<Timestamptz>(), statement_timestamp());
        let lifetime = interval_of_life(deadline.lifetime);
        let end_of_life = timezone(UtcZone, begun().at_time_zone(UtcZone) + lifetime);
        let insert = diesel::insert_into(session::table)
            .values((
                session::session_key.eq(KeyParameter::from(key)),
                session::created_on.eq(begun()),
                session::expire_date
                    .eq(least(statement_timestamp() + interval(deadline.period), end_of_life)),
                session::session_data.eq(row.value),
                session::owner.eq(row.owner),
                session::label.eq(row.label),
                used_now(),
            ))
            .on_conflict(session::session_key)
            .do_nothing();
        Ok(self.execute(insert).await? == 1)
    }

    async fn find_live(&mut self, key: &StoredKey) -> QueryResult<Option<Session>> {
        let row: Option<FoundRow> =
            self.row(session::table.filter(live_under(key)).select(everything())).await?;
        Ok(row.map(|row| found(key, row)))
    }

    async fn update_live(&mut self, key: &StoredKey, value: &str, renewal: Renewal) -> QueryResult<bool> {
        let value = session::session_data.eq(value);
        let rows = match renewal {
            // The usual cases have their own statements. With the calculation of an endless lifetime they would cost a
            // quarter more.
            Renewal::Keep(Period::ENDLESS) => {
                self.execute(cached_update(session::table, (value, used_now()), live_under(key))).await?
            }
            Renewal::Keep(lifetime) => {
                let changes = (value, session::expire_date.eq(kept(lifetime)), used_now());
                self.execute(cached_update(session::table, changes, live_under(key))).await?
            }
            Renewal::Until(deadline) if deadline.is_endless() => {
                let expire_date = session::expire_date.eq(statement_timestamp() + interval(deadline.period));
                let changes = (value, expire_date, used_now());
                self.execute(cached_update(session::table, changes, live_under(key))).await?
            }
            Renewal::Until(deadline) => {
                let changes = (value, session::expire_date.eq(expire_date(deadline)), used_now());
                self.execute(cached_update(session::table, changes, live_under(key))).await?
            }
        };
        Ok(rows == 1)
    }

    async fn replace_live(
        &mut self,
        key: &StoredKey,
        expected: Option<&str>,
        value: &str,
        renewal: Renewal,
    ) -> QueryResult<bool> {
        let value = session::session_data.eq(value);
        let is_expected = live_under(key).and(session::session_data.is_not_distinct_from(expected));
        let rows = match renewal {
            Renewal::Keep(lifetime) => {
                let changes = (value, session::expire_date.eq(kept(lifetime)), used_now());
                self.execute(cached_update(session::table, changes, is_expected)).await?
            }
            Renewal::Until(deadline) => {
                let changes = (value, session::expire_date.eq(expire_date(deadline)), used_now());
                self.execute(cached_update(session::table, changes, is_expected)).await?
            }
        };
        Ok(rows == 1)
    }

    async fn prolong_live(
        &mut self,
        key: &StoredKey,
        deadline: Deadline,
        gain: Period,
        interval: Period,
    ) -> QueryResult<bool> {
        let gains = expire_date(deadline).ge(later_by(gain));
        let changes =
            (session::expire_date.eq(greatest(session::expire_date, expire_date(deadline))), used_now());
        let is_worth_it = live_under(key).and(gains.or(not_used_for(interval)));
        Ok(self.execute(cached_update(session::table, changes, is_worth_it)).await? == 1)
    }

    async fn use_live(&mut self, key: &StoredKey, interval: Period) -> QueryResult<bool> {
        let update = cached_update(session::table, used_now(), live_under(key).and(not_used_for(interval)));
        Ok(self.execute(update).await? == 1)
    }

    async fn label_live(&mut self, key: &StoredKey, label: Option<&str>) -> QueryResult<bool> {
        let changes = (session::label.eq(label), used_now());
        Ok(self.execute(cached_update(session::table, changes, live_under(key))).await? == 1)
    }

    async fn rekey_live(&mut self, old: &StoredKey, new: &StoredKey, lifetime: Period) -> QueryResult<bool> {
        let change = diesel::delete(session::table.filter(live_under(old))).returning(MOVED);
        let (tombstone_key, ledger) = (old.tombstone(), Ledger::renewed(new));
        let first = moved::table
            .select((
                KeyParameter::from(&tombstone_key).into_sql::<FixedChar>(),
                moved::created_on,
                statement_timestamp() + interval(Period::RENEWAL),
                LedgerParameter(ledger.as_str()).into_sql::<Text>().nullable(),
            ))
            .insert_into(session::table)
            .into_columns((
                session::session_key,
                session::created_on,
                session::expire_date,
                session::session_data,
            ));
        let last = moved::table
            .select((
                KeyParameter::from(new).into_sql::<FixedChar>(),
                moved::created_on,
                least(moved::expire_date, end_of_moved_life(lifetime)),
                moved::session_data,
                moved::owner,
                moved::label,
                statement_timestamp().nullable(),
            ))
            .insert_into(session::table)
            .into_columns(CONTINUED);
        Ok(self.execute(MovedRow { change, first, last }).await? == 1)
    }

    async fn delete(&mut self, key: &StoredKey) -> QueryResult<bool> {
        let delete = diesel::delete(session::table.filter(session::session_key.eq(KeyParameter::from(key))));
        Ok(self.execute(delete).await? == 1)
    }

    async fn delete_expired(&mut self, limit: u32) -> QueryResult<usize> {
        // The subquery takes only hours that are over, by the index on the hour. The DELETE checks `expire_date` again:
        // on Citus the subquery uses a worker's clock, and the DELETE uses the coordinator's.
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
        let sessions = session::session_key.gt(KeyParameter::from(&StoredKey::FIRST));
        self.only_row(session::table.filter(sessions).select(counts)).await
    }

    async fn has_table(&mut self) -> QueryResult<bool> {
        self.only_row(select(to_regclass("session").is_not_null())).await
    }
}
