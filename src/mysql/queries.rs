//! The queries on MariaDB.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::{auto_type, case_when, count, count_star, exists, select, sql};
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind::UniqueViolation;
use diesel::result::Error::DatabaseError;
use diesel::sql_types::{BigInt, Bool, Text};

use super::clock::MillisecondsNow;
use super::expressions::{
    WholeQuotient, candidates, expire_date, greatest, is_table, kept, later_by, least, live, live_under,
    not_used_for, same, used, used_now,
};
use super::run_query::RunQuery as _;
use super::table::{session, tables};
use super::transaction::atomically;
use crate::database::key::{KeyColumn, KeyParameter, LedgerParameter};
use crate::database::milliseconds::{FoundRow, found, milliseconds};
use crate::database::{Ledger, NewRow, Queries, Texts, cached_update};
use crate::key::StoredKey;
use crate::options::{Deadline, Period, Renewal};
use crate::session::Session;

const HOUR: i64 = 3_600_000;

/// A statement can have 65,535 parameters.
const LARGEST_BATCH: u32 = 10_000;

/// The columns of a [`FoundRow`].
#[auto_type(no_type_alias)]
pub(super) fn everything() -> _ {
    let used: used = used();
    (
        (session::session_data, session::owner, session::label),
        (session::created_on, used, session::expire_date, session::expire_date - MillisecondsNow),
    )
}

/// Returns whether an INSERT wrote its row. Diesel's `on_conflict` would also say yes for a key that is taken.
fn is_inserted(inserted: QueryResult<usize>) -> QueryResult<bool> {
    match inserted {
        Err(DatabaseError(UniqueViolation, _)) => Ok(false),
        inserted => inserted.map(|rows| rows == 1),
    }
}

impl Queries for MysqlConnection {
    const NAME: &'static str = "mysql";

    async fn load_live(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>, TimeDelta)>> {
        let query = session::table
            .filter(live_under(key))
            .select((session::session_data, session::expire_date - MillisecondsNow));
        let row: Option<(Option<String>, i64)> = self.row(query)?;
        Ok(row.map(|(value, left)| (value, TimeDelta::milliseconds(left))))
    }

    async fn is_live(&mut self, key: &StoredKey) -> QueryResult<bool> {
        let rows: i64 = self.only_row(session::table.filter(live_under(key)).count())?;
        Ok(rows == 1)
    }

    async fn lock_live(&mut self, key: &StoredKey) -> QueryResult<Option<Texts>> {
        let texts = (session::session_data, session::owner, session::label);
        self.row(session::table.filter(live_under(key)).select(texts).for_update())
    }

    async fn insert(
        &mut self,
        key: &StoredKey,
        value: Option<&str>,
        owner: Option<&str>,
        period: Period,
    ) -> QueryResult<bool> {
        let row = (
            session::session_key.eq(KeyParameter::from(key)),
            session::expire_date.eq(MillisecondsNow + milliseconds(period)),
            session::session_data.eq(value),
            session::owner.eq(owner),
        );
        is_inserted(self.run(diesel::insert_into(session::table).values(row)))
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
        let end_of_life = begun() + milliseconds(deadline.lifetime);
        let row = (
            session::session_key.eq(KeyParameter::from(key)),
            session::created_on.eq(begun()),
            session::expire_date.eq(least(MillisecondsNow + milliseconds(deadline.period), end_of_life)),
            session::session_data.eq(row.value),
            session::owner.eq(row.owner),
            session::label.eq(row.label),
            used_now(),
        );
        is_inserted(self.run(diesel::insert_into(session::table).values(row)))
    }

    async fn find_live(&mut self, key: &StoredKey) -> QueryResult<Option<Session>> {
        let row: Option<FoundRow> = self.row(session::table.filter(live_under(key)).select(everything()))?;
        Ok(row.map(|row| found(key, row)))
    }

    async fn update_live(&mut self, key: &StoredKey, value: &str, renewal: Renewal) -> QueryResult<bool> {
        let value = session::session_data.eq(value);
        let rows = match renewal {
            Renewal::Keep(lifetime) => {
                let changes = (value, session::expire_date.eq(kept(lifetime)), used_now());
                self.run(cached_update(session::table, changes, live_under(key)))?
            }
            Renewal::Until(deadline) => {
                let changes = (value, session::expire_date.eq(expire_date(deadline)), used_now());
                self.run(cached_update(session::table, changes, live_under(key)))?
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
        let is_expected = live_under(key).and(same(session::session_data, expected));
        let rows = match renewal {
            Renewal::Keep(lifetime) => {
                let changes = (value, session::expire_date.eq(kept(lifetime)), used_now());
                self.run(cached_update(session::table, changes, is_expected))?
            }
            Renewal::Until(deadline) => {
                let changes = (value, session::expire_date.eq(expire_date(deadline)), used_now());
                self.run(cached_update(session::table, changes, is_expected))?
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
        // Reads first, because an UPDATE waits for the row's lock even if it finds nothing to write.
        let worth: i64 = self.only_row(session::table.filter(is_worth_it()).count())?;
        if worth == 0 {
            return Ok(false);
        }
        let later = greatest(session::expire_date, expire_date(deadline));
        let changes = (session::expire_date.eq(later), used_now());
        Ok(self.run(cached_update(session::table, changes, is_worth_it()))? == 1)
    }

    async fn use_live(&mut self, key: &StoredKey, interval: Period) -> QueryResult<bool> {
        let is_worth_it = || live_under(key).and(not_used_for(interval));
        // Reads first, as `prolong_live` does.
        let worth: i64 = self.only_row(session::table.filter(is_worth_it()).count())?;
        if worth == 0 {
            return Ok(false);
        }
        Ok(self.run(cached_update(session::table, used_now(), is_worth_it()))? == 1)
    }

    async fn label_live(&mut self, key: &StoredKey, label: Option<&str>) -> QueryResult<bool> {
        let changes = (session::label.eq(label), used_now());
        Ok(self.run(cached_update(session::table, changes, live_under(key)))? == 1)
    }

    /// Updates the key. A second statement writes the tombstone.
    async fn rekey_live(&mut self, old: &StoredKey, new: &StoredKey, lifetime: Period) -> QueryResult<bool> {
        let changes = (
            session::session_key.eq(KeyParameter::from(new)),
            session::expire_date.eq(kept(lifetime)),
            used_now(),
        );
        let (tombstone, ledger) = (old.tombstone(), Ledger::renewed(new));
        atomically(self, |conn| {
            if conn.run(cached_update(session::table, changes, live_under(old)))? == 0 {
                return Ok(false);
            }
            let row = candidates
                .filter(candidates.field(session::session_key).eq(KeyParameter::from(new)))
                .select((
                    KeyParameter::from(&tombstone).into_sql::<Text>(),
                    candidates.field(session::created_on),
                    MillisecondsNow + milliseconds(Period::RENEWAL),
                    LedgerParameter(ledger.as_str()).into_sql::<Text>().nullable(),
                ));
            let columns =
                (session::session_key, session::created_on, session::expire_date, session::session_data);
            conn.run(row.insert_into(session::table).into_columns(columns))?;
            Ok(true)
        })
    }

    async fn delete(&mut self, key: &StoredKey) -> QueryResult<bool> {
        let row = session::table.filter(session::session_key.eq(KeyParameter::from(key)));
        Ok(self.run(diesel::delete(row))? == 1)
    }

    /// Looks first and then deletes by key. A DELETE by the index on the hour would lock the index before the row, and
    /// the other statements lock the row before the index.
    async fn delete_expired(&mut self, limit: u32) -> QueryResult<usize> {
        let this_hour = WholeQuotient::new(MillisecondsNow, HOUR.into_sql::<BigInt>());
        let expired = session::table
            .filter(session::expire_hour.lt(this_hour.nullable()))
            .filter(session::expire_date.le(MillisecondsNow))
            .order(session::expire_hour)
            .select(session::session_key)
            .limit(limit.min(LARGEST_BATCH).into());
        let keys: Vec<KeyColumn> = self.rows(expired)?;
        if keys.is_empty() {
            return Ok(0);
        }
        let keys = keys.iter().map(|KeyColumn(key)| KeyParameter::from(key));
        let rows = session::table.filter(session::session_key.eq_any(keys));
        self.run(diesel::delete(rows.filter(session::expire_date.le(MillisecondsNow))))
    }

    async fn count(&mut self) -> QueryResult<(i64, i64)> {
        let live = count(case_when(live(), session::session_key));
        self.only_row(
            session::table
                .filter(session::session_key.gt(KeyParameter::from(&StoredKey::FIRST)))
                .select((count_star(), live)),
        )
    }

    async fn has_table(&mut self) -> QueryResult<bool> {
        self.only_row(select(exists(tables::table.filter(is_table("session")))))
    }

    async fn is_read_only(&mut self) -> QueryResult<bool> {
        // It is a number before MariaDB 12, and a text since.
        self.only_row(select(sql::<Bool>("CAST(@@global.read_only AS CHAR) NOT IN ('0', 'OFF')")))
    }
}
