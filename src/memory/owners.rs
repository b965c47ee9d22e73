//! The queries for owners' sessions in memory.

use chrono::{DateTime, Utc};
use diesel::QueryResult;

use super::{Row, Table, date};
use crate::database::{Deleted, OwnerQueries};
use crate::key::StoredKey;
use crate::session::OwnedSession;

impl Table {
    /// Returns an owner's sessions that meet a condition, the oldest first: when each was created, and its key.
    fn theirs(&self, owner: &str, condition: impl Fn(&StoredKey, &Row) -> bool) -> Vec<(i64, StoredKey)> {
        let theirs = self.rows.iter().filter(|(key, row)| row.is_of(owner) && condition(key, row));
        let mut theirs: Vec<_> = theirs.map(|(key, row)| (row.created_on, *key)).collect();
        theirs.sort_unstable();
        theirs
    }

    /// Returns the live sessions of an owner, except one.
    fn live_but(&self, owner: &str, but: &StoredKey) -> Vec<(i64, StoredKey)> {
        let now = self.now();
        self.theirs(owner, |key, row| row.expire_date > now && key != but)
    }

    /// Removes the first `limit` of these sessions.
    fn remove_first(&mut self, sessions: &[(i64, StoredKey)], limit: i64) -> Vec<Row> {
        let limit = usize::try_from(limit).unwrap_or(0);
        let keys: Vec<_> = sessions.iter().take(limit).map(|(_, key)| *key).collect();
        self.remove_rows(&keys)
    }
}

impl OwnerQueries for Table {
    async fn own_live(&mut self, key: &StoredKey, owner: Option<&str>) -> QueryResult<bool> {
        Ok(self.change(key, |_, _| true, |row, _| row.owner = owner.map(str::to_owned)))
    }

    async fn load_owned(
        &mut self,
        owner: &str,
        (before, key): (DateTime<Utc>, StoredKey),
        limit: i64,
    ) -> QueryResult<Vec<(StoredKey, OwnedSession)>> {
        let before = (before.timestamp_micros(), key);
        let listed = self.live_but(owner, &StoredKey::NONE);
        let listed = listed.into_iter().rev().filter(|session| *session < before);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(listed.take(limit).map(|(_, key)| (key, self.rows[&key].owned_session(&key))).collect())
    }

    async fn count_owned(&mut self, owner: &str, but: &StoredKey) -> QueryResult<i64> {
        Ok(i64::try_from(self.live_but(owner, but).len()).unwrap_or(i64::MAX))
    }

    async fn oldest_owned(
        &mut self,
        owner: &str,
        but: &StoredKey,
        limit: i64,
    ) -> QueryResult<Vec<StoredKey>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.live_but(owner, but).into_iter().take(limit).map(|(_, key)| key).collect())
    }

    async fn delete_owned(&mut self, keys: &[StoredKey], owner: &str) -> QueryResult<Vec<StoredKey>> {
        let is_theirs = |key: &&StoredKey| self.live(key).is_some_and(|(row, _)| row.is_of(owner));
        let theirs: Vec<StoredKey> = keys.iter().filter(is_theirs).copied().collect();
        self.remove_rows(&theirs);
        Ok(theirs)
    }

    async fn now(&mut self) -> QueryResult<DateTime<Utc>> {
        Ok(date(Self::now(self)))
    }

    async fn newest_owned(&mut self, owner: &str) -> QueryResult<Option<DateTime<Utc>>> {
        Ok(self.theirs(owner, |_, _| true).last().map(|(created_on, _)| date(*created_on)))
    }

    async fn has_until(
        &mut self,
        owners: [&str; 2],
        but: [&StoredKey; 2],
        until: DateTime<Utc>,
    ) -> QueryResult<bool> {
        let until = until.timestamp_micros();
        let is_other = |key: &StoredKey, row: &Row| !but.contains(&key) && row.created_on <= until;
        Ok(owners.iter().any(|owner| !self.theirs(owner, is_other).is_empty()))
    }

    async fn delete_until(
        &mut self,
        owner: &str,
        but: &StoredKey,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        now: DateTime<Utc>,
        limit: i64,
    ) -> QueryResult<Deleted> {
        let now = now.timestamp_micros();
        let dates = from.timestamp_micros()..=until.timestamp_micros();
        let some = self.theirs(owner, |key, row| key != but && dates.contains(&row.created_on));
        let deleted = self.remove_first(&some, limit);
        let deleted: Vec<_> =
            deleted.iter().map(|row| (date(row.created_on), row.expire_date > now)).collect();
        Ok(Deleted::of(&deleted))
    }

    /// Does nothing, because no other call has the table.
    async fn lock_owner(&mut self, _owner: &str) -> QueryResult<()> {
        Ok(())
    }
}
