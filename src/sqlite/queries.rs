//! The queries on SQLite.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::{auto_type, count, count_star, exists, select};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::clock::MillisecondsNow;
use super::expressions::{
    HOUR, candidates, expire_date, greatest, kept, later_by, least, live, live_under, not_used_for, used,
    used_now,
};
use super::table::session;
use crate::database::key::{KeyParameter, LedgerParameter};
use crate::database::milliseconds::{FoundRow, found, milliseconds};
use crate::database::{Ledger, NewRow, Queries, Texts, cached_update};
use crate::key::StoredKey;
use crate::options::{Deadline, Period, Renewal};
use crate::session::Session;

/// The columns of a [`FoundRow`].
#[auto_type(no_type_alias)]
pub(super) fn everything() -> _ {
    let used: used = used();
    (
        (session::session_data, session::owner, session::label),
        (session::created_on, used, session::expire_date, session::expire_date - MillisecondsNow),
    )
}

diesel::table! {
    sqlite_master (name) {
        name -> Text,
        #[sql_name = "type"]
        kind -> Text,
    }
}

impl Queries for SqliteConnection {
    const NAME: &'static str = "sqlite";

    async fn load_live(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>, TimeDelta)>> {
        session::table
            .filter(live_under(key))
            .select((session::session_data, session::expire_date - MillisecondsNow))
            .get_result::<(Option<String>, i64)>(self)
            .optional()
            .map(|row| row.map(|(value, left)| (value, TimeDelta::milliseconds(left))))
    }

    async fn is_live(&mut self, key: &StoredKey) -> QueryResult<bool> {
        session::table.filter(live_under(key)).count().get_result::<i64>(self).map(|rows| rows == 1)
    }

    /// Takes no lock, because `BEGIN` has locked the whole database.
    async fn lock_live(&mut self, key: &StoredKey) -> QueryResult<Option<Texts>> {
        let texts = (session::session_data, session::owner, session::label);
        session::table.filter(live_under(key)).select(texts).get_result(self).optional()
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
                session::expire_date.eq(MillisecondsNow + period),
                session::session_data.eq(value),
                session::owner.eq(owner),
                // Otherwise a trigger would set it with a second write.
                session::expire_hour.eq(((MillisecondsNow + period) / HOUR).nullable()),
            ))
            .on_conflict(session::session_key)
            .do_nothing()
            .execute(self)
            .map(|rows| rows == 1)
    }

    async fn insert_since(
        &mut self,
        key: &StoredKey,
        row: NewRow<'_>,
        since: DateTime<Utc>,
        deadline: Deadline,
    ) -> QueryResult<bool> {
        let since = since.timestamp_millis();
        let begun = || least(since.into_sql::<BigInt>(), MillisecondsNow);
        let end = || {
            let end_of_life = begun() + milliseconds(deadline.lifetime);
            least(MillisecondsNow + milliseconds(deadline.period), end_of_life)
        };
        diesel::insert_into(session::table)
            .values((
                session::session_key.eq(KeyParameter::from(key)),
                session::created_on.eq(begun()),
                session::expire_date.eq(end()),
                session::session_data.eq(row.value),
                session::owner.eq(row.owner),
                session::label.eq(row.label),
                used_now(),
                session::expire_hour.eq((end() / HOUR).nullable()),
            ))
            .on_conflict(session::session_key)
            .do_nothing()
            .execute(self)
            .map(|rows| rows == 1)
    }

    async fn find_live(&mut self, key: &StoredKey) -> QueryResult<Option<Session>> {
        let query = session::table.filter(live_under(key)).select(everything());
        Ok(query.get_result::<FoundRow>(self).optional()?.map(|row| found(key, row)))
    }

    async fn update_live(&mut self, key: &StoredKey, value: &str, renewal: Renewal) -> QueryResult<bool> {
        let value = session::session_data.eq(value);
        let rows = match renewal {
            // The usual cases have their own statements. With the calculation of an endless lifetime they would cost a
            // quarter more.
            Renewal::Keep(Period::ENDLESS) => {
                cached_update(session::table, (value, used_now()), live_under(key)).execute(self)?
            }
            Renewal::Keep(lifetime) => {
                let changes = (value, session::expire_date.eq(kept(lifetime)), used_now());
                cached_update(session::table, changes, live_under(key)).execute(self)?
            }
            Renewal::Until(deadline) if deadline.is_endless() => {
                let expire_date = session::expire_date.eq(MillisecondsNow + milliseconds(deadline.period));
                let changes = (value, expire_date, used_now());
                cached_update(session::table, changes, live_under(key)).execute(self)?
            }
            Renewal::Until(deadline) => {
                let changes = (value, session::expire_date.eq(expire_date(deadline)), used_now());
                cached_update(session::table, changes, live_under(key)).execute(self)?
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
        let is_expected = live_under(key).and(session::session_data.is(expected));
        let rows = match renewal {
            Renewal::Keep(lifetime) => {
                let changes = (value, session::expire_date.eq(kept(lifetime)), used_now());
                cached_update(session::table, changes, is_expected).execute(self)?
            }
            Renewal::Until(deadline) => {
                let changes = (value, session::expire_date.eq(expire_date(deadline)), used_now());
                cached_update(session::table, changes, is_expected).execute(self)?
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
        let gains = || expire_date(deadline).ge(later_by(gain));
        let is_worth_it = || live_under(key).and(gains().or(not_used_for(interval)));
        // Reads first, because an UPDATE waits for the one writer even if it finds nothing to write.
        if session::table.filter(is_worth_it()).count().get_result::<i64>(self)? == 0 {
            return Ok(false);
        }
        let later = greatest(session::expire_date, expire_date(deadline));
        let changes = (session::expire_date.eq(later), used_now());
        cached_update(session::table, changes, is_worth_it()).execute(self).map(|rows| rows == 1)
    }

    async fn use_live(&mut self, key: &StoredKey, interval: Period) -> QueryResult<bool> {
        let is_worth_it = || live_under(key).and(not_used_for(interval));
        // Reads first, as `prolong_live` does.
        if session::table.filter(is_worth_it()).count().get_result::<i64>(self)? == 0 {
            return Ok(false);
        }
        cached_update(session::table, used_now(), is_worth_it()).execute(self).map(|rows| rows == 1)
    }

    async fn label_live(&mut self, key: &StoredKey, label: Option<&str>) -> QueryResult<bool> {
        let changes = (session::label.eq(label), used_now());
        cached_update(session::table, changes, live_under(key)).execute(self).map(|rows| rows == 1)
    }

    /// Updates the key, which PostgreSQL with Citus does not allow. A second statement writes the tombstone.
    async fn rekey_live(&mut self, old: &StoredKey, new: &StoredKey, lifetime: Period) -> QueryResult<bool> {
        let changes = (
            session::session_key.eq(KeyParameter::from(new)),
            session::expire_date.eq(kept(lifetime)),
            used_now(),
        );
        let (tombstone, ledger) = (old.tombstone(), Ledger::renewed(new));
        // The transaction begins with a write, so it waits for another writer instead of failing.
        self.transaction(|conn| {
            if cached_update(session::table, changes, live_under(old)).execute(conn)? == 0 {
                return Ok(false);
            }
            let expire_date = MillisecondsNow + milliseconds(Period::RENEWAL);
            candidates
                .filter(candidates.field(session::session_key).eq(KeyParameter::from(new)))
                .select((
                    KeyParameter::from(&tombstone).into_sql::<Text>(),
                    candidates.field(session::created_on),
                    expire_date,
                    LedgerParameter(ledger.as_str()).into_sql::<Text>().nullable(),
                    (expire_date / HOUR).nullable(),
                ))
                .insert_into(session::table)
                .into_columns((
                    session::session_key,
                    session::created_on,
                    session::expire_date,
                    session::session_data,
                    session::expire_hour,
                ))
                .execute(conn)?;
            Ok(true)
        })
    }

    async fn delete(&mut self, key: &StoredKey) -> QueryResult<bool> {
        diesel::delete(session::table.filter(session::session_key.eq(KeyParameter::from(key))))
            .execute(self)
            .map(|rows| rows == 1)
    }

    async fn delete_expired(&mut self, limit: u32) -> QueryResult<usize> {
        // The subquery takes only hours that are over, by the index on the hour. `expire_date` alone decides what has
        // expired, because anyone can write the hour. SQLite runs the subquery once, and no other connection writes in
        // between.
        let expired = candidates
            .filter(candidates.field(session::expire_hour).lt((MillisecondsNow / HOUR).nullable()))
            .filter(candidates.field(session::expire_date).le(MillisecondsNow))
            .order(candidates.field(session::expire_hour))
            .select(candidates.field(session::session_key))
            .limit(limit.into());
        diesel::delete(session::table.filter(session::session_key.eq_any(expired))).execute(self)
    }

    async fn count(&mut self) -> QueryResult<(i64, i64)> {
        session::table
            .filter(session::session_key.gt(KeyParameter::from(&StoredKey::FIRST)))
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
