//! The queries for saves in memory.

use diesel::QueryResult;

use super::{Row, Table};
use crate::database::{NewRow, SaveQueries, SavedText};
use crate::key::StoredKey;
use crate::options::Deadline;

impl SaveQueries for Table {
    async fn save_live(
        &mut self,
        key: &StoredKey,
        base: &str,
        value: Option<&str>,
        (owner, label): (&SavedText, &SavedText),
        deadline: Deadline,
    ) -> QueryResult<bool> {
        let keeps = |saved: &SavedText, text: &Option<String>| {
            let (keep, same) = saved.parts();
            keep || same == text.as_deref()
        };
        let is_unchanged = |row: &Row, _| {
            let is_base = value.is_none() || row.value.as_deref() == Some(base);
            is_base && keeps(owner, &row.owner) && keeps(label, &row.label)
        };
        Ok(self.change(key, is_unchanged, |row, now| {
            row.value = value.map(str::to_owned).or(row.value.take());
            row.expire_date = row.expiry(deadline, now);
        }))
    }

    async fn overwrite_live(
        &mut self,
        key: &StoredKey,
        row: NewRow<'_>,
        deadline: Deadline,
    ) -> QueryResult<bool> {
        Ok(self.change(
            key,
            |_, _| true,
            |old, now| {
                *old = Row::new(row, old.created_on, now, old.expiry(deadline, now));
            },
        ))
    }
}
