//! The queries for tombstones on SQLite.

use diesel::prelude::*;
use diesel::result::Error::RollbackTransaction;
use diesel::sql_types::Text;

use super::clock::MillisecondsNow;
use super::expressions::{least, live_under};
use super::table::session;
use crate::database::key::{KeyParameter, LedgerParameter};
use crate::database::milliseconds::{date, milliseconds};
use crate::database::{
    Ledger, NewRow, Queries as _, Tombstone, TombstoneQueries, cached_update, now_or_never,
};
use crate::key::StoredKey;
use crate::options::{Deadline, PARKED, Period};

/// A tombstone's ledger, the time when its session was created, and its owner and label.
type Row = (Option<String>, i64, Option<String>, Option<String>);

impl TombstoneQueries for SqliteConnection {
    async fn park(&mut self, key: &StoredKey, ledger: &str) -> QueryResult<bool> {
        let (parked, tombstone) = (PARKED.to_string(), key.tombstone());
        let soon = MillisecondsNow + milliseconds(Period::RENEWAL);
        let changes = (
            session::session_key.eq(KeyParameter::from(&tombstone)),
            session::expire_date.eq(least(session::expire_date, soon)),
            session::session_data.eq(ledger),
            session::owner.eq(parked.as_str().into_sql::<Text>().nullable().concat(session::owner)),
        );
        cached_update(session::table, changes, live_under(key)).execute(self).map(|rows| rows == 1)
    }

    async fn find_tombstone(&mut self, key: &StoredKey) -> QueryResult<Option<Tombstone>> {
        let texts = (session::session_data, session::created_on, session::owner, session::label);
        let row: Option<Row> =
            session::table.filter(live_under(key)).select(texts).get_result(self).optional()?;
        Ok(row
            .and_then(|(ledger, created, owner, label)| Tombstone::read(ledger, date(created), owner, label)))
    }

    async fn write_ledger(&mut self, key: &StoredKey, from: &Ledger, to: &Ledger) -> QueryResult<bool> {
        let is_still = live_under(key).and(session::session_data.is(LedgerParameter(from.as_str())));
        let update =
            cached_update(session::table, session::session_data.eq(LedgerParameter(to.as_str())), is_still);
        update.execute(self).map(|rows| rows == 1)
    }

    /// Uses a transaction that begins with a write, so it waits for another writer instead of failing.
    async fn continue_parked(
        &mut self,
        key: &StoredKey,
        tombstone: &Tombstone,
        ledger: &Ledger,
        (new, row): (&StoredKey, NewRow<'_>),
        deadline: Deadline,
    ) -> QueryResult<bool> {
        let is_still =
            live_under(key).and(session::session_data.is(LedgerParameter(tombstone.ledger.as_str())));
        let changes = (
            session::session_data.eq(LedgerParameter(ledger.as_str())),
            session::owner.eq(None::<&str>),
            session::label.eq(None::<&str>),
            session::expire_date.eq(MillisecondsNow + milliseconds(Period::RENEWAL)),
        );
        self.transaction(|conn| {
            if cached_update(session::table, changes, is_still).execute(conn)? == 0 {
                return Ok(false);
            }
            let is_new = now_or_never(conn.insert_since(new, row, tombstone.created, deadline))?;
            // Another session has the key, so everything stays as it was.
            if is_new { Ok(true) } else { Err(RollbackTransaction) }
        })
    }

    async fn delete_tombstone(&mut self, key: &StoredKey, ledger: &Ledger) -> QueryResult<bool> {
        let tombstone = session::table.filter(session::session_key.eq(KeyParameter::from(key)));
        diesel::delete(tombstone.filter(session::session_data.is(LedgerParameter(ledger.as_str()))))
            .execute(self)
            .map(|rows| rows == 1)
    }
}
