//! The queries for owners' sessions on SQLite.

use chrono::{DateTime, Utc};
use diesel::dsl::{auto_type, exists, max, select};
use diesel::prelude::*;

use super::clock::MillisecondsNow;
use super::expressions::{candidates, live, live_under, used, used_now};
use super::table::session;
use crate::database::key::{KeyColumn, KeyParameter};
use crate::database::milliseconds::date;
use crate::database::{Deleted, OwnerQueries, cached_update};
use crate::key::StoredKey;
use crate::session::{OwnedSession, SessionHandle};

/// A session's key and label; then when it was created, when it was last used, and when it expires.
type OwnedRow = ((KeyColumn, Option<String>), (i64, i64, i64));

#[auto_type(no_type_alias)]
fn live_of<'a>(owner: &'a str) -> _ {
    session::owner.eq(owner).and(live())
}

impl OwnerQueries for SqliteConnection {
    async fn own_live(&mut self, key: &StoredKey, owner: Option<&str>) -> QueryResult<bool> {
        cached_update(session::table, (session::owner.eq(owner), used_now()), live_under(key))
            .execute(self)
            .map(|rows| rows == 1)
    }

    async fn load_owned(
        &mut self,
        owner: &str,
        (before, key): (DateTime<Utc>, StoredKey),
        limit: i64,
    ) -> QueryResult<Vec<(StoredKey, OwnedSession)>> {
        let before = before.timestamp_millis();
        let older = session::created_on.lt(before).or(session::session_key.lt(KeyParameter::from(&key)));
        let rows = session::table
            .filter(live_of(owner).and(session::created_on.le(before)).and(older))
            .order((session::created_on.desc(), session::session_key.desc()))
            .select((
                (session::session_key, session::label),
                (session::created_on, used(), session::expire_date),
            ))
            .limit(limit)
            .load::<OwnedRow>(self)?;
        let listed = |((KeyColumn(key), label), (created, used, expires)): OwnedRow| {
            let (created, used, expires) = (date(created), date(used), date(expires));
            (key, OwnedSession { handle: SessionHandle::new(&key), label, created, used, expires })
        };
        Ok(rows.into_iter().map(listed).collect())
    }

    async fn count_owned(&mut self, owner: &str, but: &StoredKey) -> QueryResult<i64> {
        let others = session::session_key.ne(KeyParameter::from(but));
        session::table.filter(live_of(owner).and(others)).count().get_result(self)
    }

    async fn oldest_owned(
        &mut self,
        owner: &str,
        but: &StoredKey,
        limit: i64,
    ) -> QueryResult<Vec<StoredKey>> {
        let keys: Vec<KeyColumn> = session::table
            .filter(live_of(owner))
            .filter(session::session_key.ne(KeyParameter::from(but)))
            .order((session::created_on, session::session_key))
            .select(session::session_key)
            .limit(limit)
            .load(self)?;
        Ok(keys.into_iter().map(|KeyColumn(key)| key).collect())
    }

    /// Deletes one row at a time, because `RETURNING` needs a newer SQLite.
    async fn delete_owned(&mut self, keys: &[StoredKey], owner: &str) -> QueryResult<Vec<StoredKey>> {
        let mut deleted = Vec::new();
        for key in keys {
            let theirs = session::table.filter(live_under(key)).filter(session::owner.eq(owner));
            if diesel::delete(theirs).execute(self)? == 1 {
                deleted.push(*key);
            }
        }
        Ok(deleted)
    }

    async fn now(&mut self) -> QueryResult<DateTime<Utc>> {
        select(MillisecondsNow).get_result(self).map(date)
    }

    async fn newest_owned(&mut self, owner: &str) -> QueryResult<Option<DateTime<Utc>>> {
        let newest = session::table.filter(session::owner.eq(owner)).select(max(session::created_on));
        newest.get_result::<Option<i64>>(self).map(|newest| newest.map(date))
    }

    async fn has_until(
        &mut self,
        owners: [&str; 2],
        [but, nor]: [&StoredKey; 2],
        until: DateTime<Utc>,
    ) -> QueryResult<bool> {
        let theirs = session::owner.eq_any(owners).and(session::created_on.le(until.timestamp_millis()));
        let others = session::session_key.ne(KeyParameter::from(but));
        let others = others.and(session::session_key.ne(KeyParameter::from(nor)));
        select(exists(session::table.filter(theirs.and(others)))).get_result(self)
    }

    /// No other connection writes between the SELECT and the DELETE.
    async fn delete_until(
        &mut self,
        owner: &str,
        but: &StoredKey,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        now: DateTime<Utc>,
        limit: i64,
    ) -> QueryResult<Deleted> {
        let (from, until) = (from.timestamp_millis(), until.timestamp_millis());
        let some = || {
            candidates
                .filter(candidates.field(session::owner).eq(owner))
                .filter(candidates.field(session::created_on).between(from, until))
                .filter(candidates.field(session::session_key).ne(KeyParameter::from(but)))
                .order((candidates.field(session::created_on), candidates.field(session::session_key)))
                .limit(limit)
        };
        let is_live = candidates.field(session::expire_date).gt(now.timestamp_millis());
        let found: Vec<(i64, bool)> =
            some().select((candidates.field(session::created_on), is_live)).load(self)?;
        let keys = some().select(candidates.field(session::session_key));
        diesel::delete(session::table.filter(session::session_key.eq_any(keys))).execute(self)?;
        let deleted: Vec<_> = found.into_iter().map(|(created, is_live)| (date(created), is_live)).collect();
        Ok(Deleted::of(&deleted))
    }

    /// Does nothing, because `BEGIN` has locked the whole database.
    async fn lock_owner(&mut self, _owner: &str) -> QueryResult<()> {
        Ok(())
    }
}
