//! The queries for owners' sessions in memory.

use chrono::{DateTime, Utc};
use diesel::QueryResult;

use super::{Row, Table, date};
use crate::database::{Deleted, OwnerQueries};
use crate::key::StoredKey;
use crate::options::{Deadline, Renewal};
use crate::session::OwnedSession;

impl Table {
    /// An owner's sessions that fulfil a condition, the oldest first: when each was created, and its key.
    fn theirs(&self, owner: &str, condition: impl Fn(&StoredKey, &Row) -> bool) -> Vec<(i64, StoredKey)> {
        let theirs = self.rows.iter().filter(|(key, row)| row.is_of(owner) && condition(key, row));
        let mut theirs: Vec<_> = theirs.map(|(key, row)| (row.created_on, *key)).collect();
        theirs.sort_unstable();
        theirs
    }

    /// The live ones, except for one.
    fn live_but(&self, owner: &str, but: &StoredKey) -> Vec<(i64, StoredKey)> {
        let now = self.now();
        self.theirs(owner, |key, row| row.expire_date > now && key != but)
    }

    /// Removes the first `limit` of these.
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

    async fn update_owned(
        &mut self,
        key: &StoredKey,
        value: &str,
        owner: Option<&str>,
        deadline: Deadline,
    ) -> QueryResult<bool> {
        let is_theirs = |row: &Row, _| row.owner.as_deref() == owner;
        Ok(self.change(key, is_theirs, |row, now| row.write(value, Renewal::Until(deadline), now)))
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

    async fn delete_if_owned(&mut self, key: &StoredKey, owner: &str) -> QueryResult<bool> {
        let is_theirs = self.live(key).is_some_and(|(row, _)| row.is_of(owner));
        Ok(is_theirs && !self.remove_rows(&[*key]).is_empty())
    }

    async fn now_and_newest(&mut self, owner: &str) -> QueryResult<(DateTime<Utc>, Option<DateTime<Utc>>)> {
        let newest = self.theirs(owner, |_, _| true).last().map(|(created_on, _)| date(*created_on));
        Ok((date(self.now()), newest))
    }

    async fn has_until(&mut self, owner: &str, but: &StoredKey, until: DateTime<Utc>) -> QueryResult<bool> {
        let until = until.timestamp_micros();
        Ok(!self.theirs(owner, |key, row| key != but && row.created_on <= until).is_empty())
    }

    async fn delete_until(
        &mut self,
        owner: &str,
        but: &StoredKey,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        limit: i64,
    ) -> QueryResult<Deleted> {
        let now = self.now();
        let dates = from.timestamp_micros()..=until.timestamp_micros();
        let some = self.theirs(owner, |key, row| key != but && dates.contains(&row.created_on));
        let deleted = self.remove_first(&some, limit);
        let deleted: Vec<_> =
            deleted.iter().map(|row| (date(row.created_on), row.expire_date > now)).collect();
        Ok(Deleted::of(&deleted))
    }

    async fn delete_oldest(&mut self, owner: &str, but: &StoredKey, sessions: i64) -> QueryResult<usize> {
        let oldest = self.live_but(owner, but);
        Ok(self.remove_first(&oldest, sessions).len())
    }

    /// Nobody else has the table.
    async fn lock_owner(&mut self, _owner: &str) -> QueryResult<()> {
        Ok(())
    }
}
