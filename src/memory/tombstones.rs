//! The queries for tombstones in memory.

use diesel::QueryResult;

use super::{Row, Table, date};
use crate::database::{Ledger, NewRow, Queries as _, Tombstone, TombstoneQueries};
use crate::key::StoredKey;
use crate::options::{Deadline, PARKED, Period};

impl TombstoneQueries for Table {
    async fn park(&mut self, key: &StoredKey, ledger: &str) -> QueryResult<bool> {
        let Some((row, now)) = self.live(key) else { return Ok(false) };
        let mut row = row.clone();
        row.value = Some(ledger.to_owned());
        row.owner = row.owner.map(|owner| format!("{PARKED}{owner}"));
        row.expire_date = row.expire_date.min(now.saturating_add(Period::RENEWAL.microseconds()));
        self.remove_rows(&[*key]);
        Ok(self.insert_row(key.tombstone(), row))
    }

    async fn find_tombstone(&mut self, key: &StoredKey) -> QueryResult<Option<Tombstone>> {
        let tombstone = |row: &Row| {
            let (ledger, owner, label) = row.texts();
            Tombstone::read(ledger, date(row.created_on), owner, label)
        };
        Ok(self.live(key).and_then(|(row, _)| tombstone(row)))
    }

    async fn write_ledger(&mut self, key: &StoredKey, from: &Ledger, to: &Ledger) -> QueryResult<bool> {
        let is_still = |row: &Row, _| row.value.as_deref() == Some(from.as_str());
        Ok(self.change(key, is_still, |row, _| row.value = Some(to.as_str().to_owned())))
    }

    async fn continue_parked(
        &mut self,
        key: &StoredKey,
        tombstone: &Tombstone,
        ledger: &Ledger,
        (new, row): (&StoredKey, NewRow<'_>),
        deadline: Deadline,
    ) -> QueryResult<bool> {
        let is_still = |row: &Row, _| row.value.as_deref() == Some(tombstone.ledger.as_str());
        let is_ours = self.change(key, is_still, |row, now| {
            row.value = Some(ledger.as_str().to_owned());
            (row.owner, row.label) = (None, None);
            row.expire_date = now.saturating_add(Period::RENEWAL.microseconds());
        });
        Ok(is_ours && self.insert_since(new, row, tombstone.created, deadline).await?)
    }

    async fn delete_tombstone(&mut self, key: &StoredKey, ledger: &Ledger) -> QueryResult<bool> {
        let is_still = self.rows.get(key).is_some_and(|row| row.value.as_deref() == Some(ledger.as_str()));
        Ok(is_still && !self.remove_rows(&[*key]).is_empty())
    }
}
