//! The queries over the sessions of all owners in memory.

use chrono::{DateTime, Utc};
use diesel::QueryResult;

use super::{Row, Table};
use crate::database::AdminQueries;
use crate::key::StoredKey;
use crate::session::Session;

impl Table {
    /// Returns the first `limit` keys, from this one on, of rows that meet a condition.
    fn first_from(&self, from: &StoredKey, limit: i64, condition: impl Fn(&Row) -> bool) -> Vec<StoredKey> {
        let keys = self.rows.iter().filter(|(key, row)| *key >= from && condition(row));
        let mut keys: Vec<StoredKey> = keys.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        keys
    }
}

impl AdminQueries for Table {
    async fn load_from(
        &mut self,
        from: &StoredKey,
        owner: Option<&str>,
        limit: i64,
    ) -> QueryResult<Vec<(StoredKey, Session)>> {
        let now = self.now();
        let is_listed = |row: &Row| row.expire_date > now && owner.is_none_or(|owner| row.is_of(owner));
        let keys = self.first_from(from, limit, is_listed);
        Ok(keys.into_iter().map(|key| (key, self.rows[&key].session(&key, now))).collect())
    }

    async fn keys_from(&mut self, from: &StoredKey, limit: i64) -> QueryResult<Vec<StoredKey>> {
        Ok(self.first_from(from, limit, |_| true))
    }

    async fn delete_from(&mut self, from: &StoredKey, limit: i64) -> QueryResult<Vec<(StoredKey, bool)>> {
        let keys = self.first_from(from, limit, |_| true);
        let is_live = |key: &StoredKey| *key > StoredKey::FIRST && self.live(key).is_some();
        let deleted = keys.iter().map(|key| (*key, is_live(key))).collect();
        self.remove_rows(&keys);
        Ok(deleted)
    }

    async fn has_any_until(&mut self, until: DateTime<Utc>) -> QueryResult<bool> {
        let until = until.timestamp_micros();
        Ok(self.rows.iter().any(|(key, row)| *key >= StoredKey::START && row.created_on <= until))
    }

    async fn values_under(&mut self, keys: &[StoredKey]) -> QueryResult<Vec<(StoredKey, Option<String>)>> {
        let rows = keys.iter().filter_map(|key| Some((*key, self.rows.get(key)?.value.clone())));
        Ok(rows.collect())
    }
}
