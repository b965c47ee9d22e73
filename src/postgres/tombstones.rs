//! The queries for tombstones on PostgreSQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::expressions::{interval, least, live_under, statement_timestamp};
use super::moved_row::{CONTINUED, MOVED, MovedRow, ReturningCreation, end_of_moved_life, moved};
use super::run_query::RunQuery;
use super::table::session;
use crate::database::key::{FixedChar, KeyParameter, LedgerParameter};
use crate::database::{Ledger, NewRow, Tombstone, TombstoneQueries, cached_update};
use crate::key::StoredKey;
use crate::options::{Deadline, PARKED, Period};

/// A tombstone's ledger, the time when its session was created, and its owner and label.
type Row = (Option<String>, DateTime<Utc>, Option<String>, Option<String>);

impl<C: RunQuery> TombstoneQueries for C {
    async fn park(&mut self, key: &StoredKey, ledger: &str) -> QueryResult<bool> {
        let parked = PARKED.to_string();
        let tombstone = key.tombstone();
        let change = diesel::delete(session::table.filter(live_under(key))).returning(MOVED);
        let first = moved::table
            .select((
                KeyParameter::from(&tombstone).into_sql::<FixedChar>(),
                moved::created_on,
                least(moved::expire_date, statement_timestamp() + interval(Period::RENEWAL)),
                ledger.into_sql::<Text>().nullable(),
                parked.as_str().into_sql::<Text>().nullable().concat(moved::owner),
                moved::label,
            ))
            .insert_into(session::table)
            .into_columns((
                session::session_key,
                session::created_on,
                session::expire_date,
                session::session_data,
                session::owner,
                session::label,
            ));
        let last = moved::table.select(moved::created_on);
        Ok(self.execute(MovedRow { change, first, last }).await? == 1)
    }

    async fn find_tombstone(&mut self, key: &StoredKey) -> QueryResult<Option<Tombstone>> {
        let texts = (session::session_data, session::created_on, session::owner, session::label);
        let row: Option<Row> = self.row(session::table.filter(live_under(key)).select(texts)).await?;
        Ok(row.and_then(|(ledger, created, owner, label)| Tombstone::read(ledger, created, owner, label)))
    }

    async fn write_ledger(&mut self, key: &StoredKey, from: &Ledger, to: &Ledger) -> QueryResult<bool> {
        let is_still =
            live_under(key).and(session::session_data.is_not_distinct_from(LedgerParameter(from.as_str())));
        let update =
            cached_update(session::table, session::session_data.eq(LedgerParameter(to.as_str())), is_still);
        Ok(self.execute(update).await? == 1)
    }

    async fn continue_parked(
        &mut self,
        key: &StoredKey,
        tombstone: &Tombstone,
        ledger: &Ledger,
        (new, row): (&StoredKey, NewRow<'_>),
        deadline: Deadline,
    ) -> QueryResult<bool> {
        let from = tombstone.ledger.as_str();
        let is_still = live_under(key).and(session::session_data.is_not_distinct_from(LedgerParameter(from)));
        let changes = (
            session::session_data.eq(LedgerParameter(ledger.as_str())),
            session::owner.eq(None::<&str>),
            session::label.eq(None::<&str>),
            session::expire_date.eq(statement_timestamp() + interval(Period::RENEWAL)),
        );
        let change = ReturningCreation(cached_update(session::table, changes, is_still));
        let first = moved::table
            .select((
                KeyParameter::from(new).into_sql::<FixedChar>(),
                moved::created_on,
                least(
                    statement_timestamp() + interval(deadline.period),
                    end_of_moved_life(deadline.lifetime),
                ),
                row.value.into_sql::<Nullable<Text>>(),
                row.owner.into_sql::<Nullable<Text>>(),
                row.label.into_sql::<Nullable<Text>>(),
                statement_timestamp().nullable(),
            ))
            .insert_into(session::table)
            .into_columns(CONTINUED);
        let last = moved::table.select(moved::created_on);
        Ok(self.execute(MovedRow { change, first, last }).await? == 1)
    }

    async fn delete_tombstone(&mut self, key: &StoredKey, ledger: &Ledger) -> QueryResult<bool> {
        let is_still = session::session_data.is_not_distinct_from(LedgerParameter(ledger.as_str()));
        let delete = diesel::delete(
            session::table.filter(session::session_key.eq(KeyParameter::from(key))).filter(is_still),
        );
        Ok(self.execute(delete).await? == 1)
    }
}
