//! The queries in memory.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryResult;

use super::{Row, Table};
use crate::database::{Ledger, Liveness, NewRow, Queries, Texts, Transactions};
use crate::key::StoredKey;
use crate::options::{Deadline, Period, Renewal};
use crate::session::Session;

impl Queries for Table {
    const NAME: &'static str = "memory";

    async fn load_live(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>, TimeDelta)>> {
        let left = |row: &Row, now| TimeDelta::microseconds(row.expire_date - now);
        Ok(self.live(key).map(|(row, now)| (row.value.clone(), left(row, now))))
    }

    async fn is_live(&mut self, key: &StoredKey) -> QueryResult<bool> {
        Ok(self.live(key).is_some())
    }

    /// Locks nothing, because no other call has the table until the transaction ends.
    async fn lock_live(&mut self, key: &StoredKey) -> QueryResult<Option<Texts>> {
        Ok(self.live(key).map(|(row, _)| row.texts()))
    }

    async fn insert(
        &mut self,
        key: &StoredKey,
        value: Option<&str>,
        owner: Option<&str>,
        period: Period,
    ) -> QueryResult<bool> {
        let now = self.now();
        let expire_date = now.saturating_add(period.microseconds());
        let row = NewRow { value, owner, label: None };
        Ok(self.insert_row(*key, Row::new(row, now, now, expire_date)))
    }

    async fn insert_since(
        &mut self,
        key: &StoredKey,
        row: NewRow<'_>,
        since: DateTime<Utc>,
        deadline: Deadline,
    ) -> QueryResult<bool> {
        let now = self.now();
        let mut row = Row::new(row, since.timestamp_micros().min(now), now, now);
        row.expire_date = row.expiry(deadline, now);
        Ok(self.insert_row(*key, row))
    }

    async fn find_live(&mut self, key: &StoredKey) -> QueryResult<Option<Session>> {
        Ok(self.live(key).map(|(row, now)| row.session(key, now)))
    }

    async fn update_live(&mut self, key: &StoredKey, value: &str, renewal: Renewal) -> QueryResult<bool> {
        Ok(self.change(key, |_, _| true, |row, now| row.write(value, renewal, now)))
    }

    async fn replace_live(
        &mut self,
        key: &StoredKey,
        expected: Option<&str>,
        value: &str,
        renewal: Renewal,
    ) -> QueryResult<bool> {
        let is_expected = |row: &Row, _| row.value.as_deref() == expected;
        Ok(self.change(key, is_expected, |row, now| row.write(value, renewal, now)))
    }

    async fn prolong_live(
        &mut self,
        key: &StoredKey,
        deadline: Deadline,
        gain: Period,
        interval: Period,
    ) -> QueryResult<bool> {
        let gains =
            |row: &Row, now| row.expiry(deadline, now) >= row.expire_date.saturating_add(gain.microseconds());
        let is_worth_it = |row: &Row, now| gains(row, now) || row.is_not_used_for(interval, now);
        let prolong = |row: &mut Row, now| row.expire_date = row.expiry(deadline, now).max(row.expire_date);
        Ok(self.change(key, is_worth_it, prolong))
    }

    async fn use_live(&mut self, key: &StoredKey, interval: Period) -> QueryResult<bool> {
        Ok(self.change(key, |row, now| row.is_not_used_for(interval, now), |_, _| {}))
    }

    async fn label_live(&mut self, key: &StoredKey, label: Option<&str>) -> QueryResult<bool> {
        Ok(self.change(key, |_, _| true, |row, _| row.label = label.map(str::to_owned)))
    }

    async fn rekey_live(&mut self, old: &StoredKey, new: &StoredKey, lifetime: Period) -> QueryResult<bool> {
        let Some((row, now)) = self.live(old) else { return Ok(false) };
        let mut row = row.clone();
        row.expire_date = row.expire_date.min(row.end_of_life(lifetime));
        row.used_on = now;
        let texts = NewRow { value: Some(&Ledger::renewed(new)), owner: None, label: None };
        let tombstone =
            Row::new(texts, row.created_on, now, now.saturating_add(Period::RENEWAL.microseconds()));
        self.remove_rows(&[*old]);
        Ok(self.insert_row(*new, row) && self.insert_row(old.tombstone(), tombstone))
    }

    async fn delete(&mut self, key: &StoredKey) -> QueryResult<bool> {
        Ok(!self.remove_rows(&[*key]).is_empty())
    }

    async fn delete_expired(&mut self, limit: u32) -> QueryResult<usize> {
        let now = self.now();
        let expired = self.rows.iter().filter(|(_, row)| row.expire_date <= now);
        let expired: Vec<_> = expired.map(|(key, _)| *key).take(limit as usize).collect();
        Ok(self.remove_rows(&expired).len())
    }

    async fn count(&mut self) -> QueryResult<(i64, i64)> {
        let now = self.now();
        let sessions = || self.rows.iter().filter(|(key, _)| **key > StoredKey::FIRST);
        let live = sessions().filter(|(_, row)| row.expire_date > now).count();
        let number = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
        Ok((number(sessions().count()), number(live)))
    }

    async fn has_table(&mut self) -> QueryResult<bool> {
        Ok(true)
    }
}

impl Liveness for Table {
    const REMOTE: bool = false;

    fn is_in_transaction(&mut self) -> bool {
        self.undo.is_some()
    }

    async fn ping(&mut self) -> QueryResult<()> {
        Ok(())
    }

    fn give_up(&mut self) {
        self.undo();
    }
}

impl Transactions for Table {
    async fn begin(&mut self) -> QueryResult<()> {
        self.undo = Some(Vec::new());
        Ok(())
    }

    async fn commit(&mut self) -> QueryResult<()> {
        self.undo = None;
        Ok(())
    }

    async fn roll_back(&mut self) -> QueryResult<()> {
        self.undo();
        Ok(())
    }
}
