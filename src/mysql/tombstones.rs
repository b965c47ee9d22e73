//! The queries for tombstones on MariaDB.

use diesel::prelude::*;
use diesel::result::Error::RollbackTransaction;
use diesel::sql_types::Text;

use super::clock::MillisecondsNow;
use super::expressions::{concat, least, live_under, same};
use super::run_query::RunQuery as _;
use super::table::session;
use super::transaction::atomically;
use crate::database::key::{KeyParameter, LedgerParameter};
use crate::database::milliseconds::{date, milliseconds};
use crate::database::{
    Ledger, NewRow, Queries as _, Tombstone, TombstoneQueries, cached_update, now_or_never,
};
use crate::key::StoredKey;
use crate::options::{Deadline, PARKED, Period};

/// A tombstone's ledger, the time when its session was created, and its owner and label.
type Row = (Option<String>, i64, Option<String>, Option<String>);

impl TombstoneQueries for MysqlConnection {
    async fn park(&mut self, key: &StoredKey, ledger: &str) -> QueryResult<bool> {
        let (parked, tombstone) = (PARKED.to_string(), key.tombstone());
        let soon = MillisecondsNow + milliseconds(Period::RENEWAL);
        let changes = (
            session::session_key.eq(KeyParameter::from(&tombstone)),
            session::expire_date.eq(least(session::expire_date, soon)),
            session::session_data.eq(ledger),
            session::owner.eq(concat(parked.as_str().into_sql::<Text>().nullable(), session::owner)),
        );
        Ok(self.run(cached_update(session::table, changes, live_under(key)))? == 1)
    }

    /// Reads the newest row, also in a caller's transaction that has read before under REPEATABLE READ. Otherwise a logout
    /// could miss a renewal.
    async fn find_tombstone(&mut self, key: &StoredKey) -> QueryResult<Option<Tombstone>> {
        let texts = (session::session_data, session::created_on, session::owner, session::label);
        let row: Option<Row> = self.row(session::table.filter(live_under(key)).select(texts).for_update())?;
        Ok(row
            .and_then(|(ledger, created, owner, label)| Tombstone::read(ledger, date(created), owner, label)))
    }

    async fn write_ledger(&mut self, key: &StoredKey, from: &Ledger, to: &Ledger) -> QueryResult<bool> {
        let is_still = live_under(key).and(same(session::session_data, LedgerParameter(from.as_str())));
        let changes = session::session_data.eq(LedgerParameter(to.as_str()));
        Ok(self.run(cached_update(session::table, changes, is_still))? == 1)
    }

    async fn continue_parked(
        &mut self,
        key: &StoredKey,
        tombstone: &Tombstone,
        ledger: &Ledger,
        (new, row): (&StoredKey, NewRow<'_>),
        deadline: Deadline,
    ) -> QueryResult<bool> {
        let present = LedgerParameter(tombstone.ledger.as_str());
        let is_still = live_under(key).and(same(session::session_data, present));
        let changes = (
            session::session_data.eq(LedgerParameter(ledger.as_str())),
            session::owner.eq(None::<&str>),
            session::label.eq(None::<&str>),
            session::expire_date.eq(MillisecondsNow + milliseconds(Period::RENEWAL)),
        );
        atomically(self, |conn| {
            if conn.run(cached_update(session::table, changes, is_still))? == 0 {
                return Ok(false);
            }
            let is_new = now_or_never(conn.insert_since(new, row, tombstone.created, deadline))?;
            // Another session has the key, so everything stays as it was.
            if is_new { Ok(true) } else { Err(RollbackTransaction) }
        })
    }

    async fn delete_tombstone(&mut self, key: &StoredKey, ledger: &Ledger) -> QueryResult<bool> {
        let tombstone = session::table.filter(session::session_key.eq(KeyParameter::from(key)));
        let is_still = same(session::session_data, LedgerParameter(ledger.as_str()));
        Ok(self.run(diesel::delete(tombstone.filter(is_still)))? == 1)
    }
}
