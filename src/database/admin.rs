//! The queries over the sessions of all owners, for an administrator.

use chrono::{DateTime, Utc};

use super::{NewRow, OwnerQueries, QueryFuture};
use crate::key::StoredKey;
use crate::options::{Deadline, Period};
use crate::session::Session;

/// The queries for an administrator. Those with a key begin there, in the order of the keys. Import markers come first,
/// then tombstones, then sessions: see [`StoredKey::START`] and [`StoredKey::FIRST`].
pub trait AdminQueries: OwnerQueries {
    /// Returns at most `limit` live sessions: all, or those of one owner.
    fn load_from(
        &mut self,
        from: &StoredKey,
        owner: Option<&str>,
        limit: i64,
    ) -> impl QueryFuture<Vec<(StoredKey, Session)>>;

    /// Returns the keys of at most `limit` sessions, live or not.
    fn keys_from(&mut self, from: &StoredKey, limit: i64) -> impl QueryFuture<Vec<StoredKey>>;

    /// Deletes at most `limit` rows: sessions, live or not, and tombstones. Returns the key of each, and whether it was a
    /// live session.
    fn delete_from(&mut self, from: &StoredKey, limit: i64) -> impl QueryFuture<Vec<(StoredKey, bool)>>;

    /// Whether there is a row of a session that is no newer than `until`: live or not, or a tombstone. It is one
    /// statement, so that a renewal at the same time cannot hide a session from it.
    fn has_any_until(&mut self, until: DateTime<Utc>) -> impl QueryFuture<bool>;

    /// Returns the rows under these keys, expired or not: the key and the value of each.
    fn values_under(&mut self, keys: &[StoredKey]) -> impl QueryFuture<Vec<(StoredKey, Option<String>)>>;

    /// Inserts rows that begin now and expire after their period. Leaves out those whose keys are taken. A database
    /// without round trips inserts them one by one.
    fn insert_rows(&mut self, rows: &[(StoredKey, NewRow<'_>, Period)]) -> impl QueryFuture<()> {
        async move {
            for (key, row, period) in rows {
                let deadline = Deadline { period: *period, lifetime: Period::ENDLESS };
                let _is_new = self.insert_since(key, *row, DateTime::<Utc>::MAX_UTC, deadline).await?;
            }
            Ok(())
        }
    }
}
