//! The queries for owners' sessions on SQLite.

use chrono::{DateTime, Utc};
use diesel::dsl::{auto_type, exists, max, select};
use diesel::prelude::*;

use super::clock::MillisecondsNow;
use super::expressions::{candidates, date, expire_date, live, live_under, used, used_now};
use super::table::session;
use crate::database::key::{KeyColumn, KeyParameter};
use crate::database::{Deleted, OwnerQueries, cached_update};
use crate::key::StoredKey;
use crate::options::Deadline;
use crate::session::{OwnedSession, SessionHandle};

/// A session's key and label; when it was created and last used, and when it expires.
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

    async fn update_owned(
        &mut self,
        key: &StoredKey,
        value: &str,
        owner: Option<&str>,
        deadline: Deadline,
    ) -> QueryResult<bool> {
        let expire_date = session::expire_date.eq(expire_date(deadline));
        let changes = (session::session_data.eq(value), expire_date, used_now());
        let is_theirs = session::owner.is(owner);
        let update = cached_update(session::table, changes, live_under(key).and(is_theirs));
        update.execute(self).map(|rows| rows == 1)
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

    async fn delete_if_owned(&mut self, key: &StoredKey, owner: &str) -> QueryResult<bool> {
        diesel::delete(session::table.filter(live_under(key)).filter(session::owner.eq(owner)))
            .execute(self)
            .map(|rows| rows == 1)
    }

    async fn now_and_newest(&mut self, owner: &str) -> QueryResult<(DateTime<Utc>, Option<DateTime<Utc>>)> {
        let newest = session::table.filter(session::owner.eq(owner)).select(max(session::created_on));
        let (now, newest): (i64, Option<i64>) =
            select((MillisecondsNow, newest.single_value())).get_result(self)?;
        Ok((date(now), newest.map(date)))
    }

    async fn has_until(&mut self, owner: &str, but: &StoredKey, until: DateTime<Utc>) -> QueryResult<bool> {
        let theirs = session::owner.eq(owner).and(session::created_on.le(until.timestamp_millis()));
        let others = session::session_key.ne(KeyParameter::from(but));
        select(exists(session::table.filter(theirs.and(others)))).get_result(self)
    }

    /// Nobody else writes between the look and the DELETE.
    async fn delete_until(
        &mut self,
        owner: &str,
        but: &StoredKey,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
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
        let is_live = candidates.field(session::expire_date).gt(MillisecondsNow);
        let found: Vec<(i64, bool)> =
            some().select((candidates.field(session::created_on), is_live)).load(self)?;
        let keys = some().select(candidates.field(session::session_key));
        diesel::delete(session::table.filter(session::session_key.eq_any(keys))).execute(self)?;
        let deleted: Vec<_> = found.into_iter().map(|(created, is_live)| (date(created), is_live)).collect();
        Ok(Deleted::of(&deleted))
    }

    async fn delete_oldest(&mut self, owner: &str, but: &StoredKey, sessions: i64) -> QueryResult<usize> {
        let oldest = candidates
            .filter(candidates.field(session::owner).eq(owner))
            .filter(candidates.field(session::expire_date).gt(MillisecondsNow))
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
