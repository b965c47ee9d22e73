//! The queries for owners' sessions on SQLite.

use diesel::dsl::auto_type;
use diesel::prelude::*;

use super::{candidates, date, expire_date, live, live_under, milliseconds_now};
use crate::backend::cached_update::cached_update;
use crate::backend::{OwnedRow, OwnerQueries};
use crate::key::StoredKey;
use crate::rules::Expiry;
use crate::schema::sqlite::session;
use crate::schema::{KeyColumn, KeyParameter};

#[auto_type(no_type_alias)]
fn live_of<'a>(owner: &'a str) -> _ {
    session::owner.eq(owner).and(live())
}

impl OwnerQueries for SqliteConnection {
    async fn own_live(&mut self, key: &StoredKey, owner: Option<&str>) -> QueryResult<bool> {
        cached_update(session::table, session::owner.eq(owner), live_under(key))
            .execute(self)
            .map(|rows| rows == 1)
    }

    async fn update_owned(
        &mut self,
        key: &StoredKey,
        value: &str,
        owner: Option<&str>,
        expiry: Expiry,
    ) -> QueryResult<bool> {
        let changes = (session::session_data.eq(value), session::expire_date.eq(expire_date(expiry)));
        let is_theirs = session::owner.is(owner);
        let update = cached_update(session::table, changes, live_under(key).and(is_theirs));
        update.execute(self).map(|rows| rows == 1)
    }

    async fn load_owner(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>,)>> {
        session::table.filter(live_under(key)).select((session::owner,)).get_result(self).optional()
    }

    async fn load_owned(&mut self, owner: &str) -> QueryResult<Vec<OwnedRow>> {
        let rows = session::table
            .filter(live_of(owner))
            .order((session::created_on, session::session_key))
            .select((session::session_key, session::created_on, session::expire_date))
            .load::<(KeyColumn, i64, i64)>(self)?;
        Ok(rows
            .into_iter()
            .map(|(KeyColumn(key), created, expires)| (key, date(created), date(expires)))
            .collect())
    }

    async fn count_owned(&mut self, owner: &str, but: &StoredKey) -> QueryResult<i64> {
        let others = session::session_key.ne(KeyParameter::from(but));
        session::table.filter(live_of(owner).and(others)).count().get_result(self)
    }

    async fn delete_if_owned(&mut self, key: &StoredKey, owner: &str) -> QueryResult<bool> {
        diesel::delete(session::table.filter(live_under(key)).filter(session::owner.eq(owner)))
            .execute(self)
            .map(|rows| rows == 1)
    }

    async fn delete_owned(&mut self, owner: &str, but: &StoredKey) -> QueryResult<usize> {
        let others = session::session_key.ne(KeyParameter::from(but));
        diesel::delete(session::table.filter(live_of(owner).and(others))).execute(self)
    }

    async fn delete_oldest(&mut self, owner: &str, but: &StoredKey, sessions: i64) -> QueryResult<usize> {
        let oldest = candidates
            .filter(candidates.field(session::owner).eq(owner))
            .filter(candidates.field(session::expire_date).gt(milliseconds_now()))
            .filter(candidates.field(session::session_key).ne(KeyParameter::from(but)))
            .order((candidates.field(session::created_on), candidates.field(session::session_key)))
            .select(candidates.field(session::session_key))
            .limit(sessions);
        diesel::delete(session::table.filter(session::session_key.eq_any(oldest))).execute(self)
    }

    /// The whole database is locked, by `BEGIN`.
    async fn lock_owner(&mut self, _owner: &str) -> QueryResult<()> {
        Ok(())
    }
}
