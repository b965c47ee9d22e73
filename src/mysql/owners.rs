//! The queries for owners' sessions on MariaDB.

use chrono::{DateTime, Utc};
use diesel::dsl::{auto_type, exists, max, select};
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::result::Error::DatabaseError;
use sha2::{Digest as _, Sha256};

use super::clock::MillisecondsNow;
use super::expressions::{live, live_under, used, used_now};
use super::run_query::RunQuery as _;
use super::table::{session, session_owner_lock};
use crate::database::key::{KeyColumn, KeyParameter};
use crate::database::milliseconds::date;
use crate::database::{Deleted, OwnerQueries, cached_update};
use crate::error::MigrationError;
use crate::key::StoredKey;
use crate::session::{OwnedSession, SessionHandle};

/// The last row of `session_owner_lock`. They begin at 0: one for each first byte of the digest of an owner's name.
pub(super) const LAST_OWNER_SLOT: i16 = 255;

/// A session's key and label; then when it was created, when it was last used, and when it expires.
type OwnedRow = ((KeyColumn, Option<String>), (i64, i64, i64));

#[auto_type(no_type_alias)]
fn live_of<'a>(owner: &'a str) -> _ {
    session::owner.eq(owner).and(live())
}

impl OwnerQueries for MysqlConnection {
    async fn own_live(&mut self, key: &StoredKey, owner: Option<&str>) -> QueryResult<bool> {
        let changes = (session::owner.eq(owner), used_now());
        Ok(self.run(cached_update(session::table, changes, live_under(key)))? == 1)
    }

    async fn load_owned(
        &mut self,
        owner: &str,
        (before, key): (DateTime<Utc>, StoredKey),
        limit: i64,
    ) -> QueryResult<Vec<(StoredKey, OwnedSession)>> {
        let before = before.timestamp_millis();
        let older = session::created_on.lt(before).or(session::session_key.lt(KeyParameter::from(&key)));
        let query = session::table
            .filter(live_of(owner).and(session::created_on.le(before)).and(older))
            .order((session::created_on.desc(), session::session_key.desc()))
            .select((
                (session::session_key, session::label),
                (session::created_on, used(), session::expire_date),
            ))
            .limit(limit);
        let listed = |((KeyColumn(key), label), (created, used, expires)): OwnedRow| {
            let (created, used, expires) = (date(created), date(used), date(expires));
            (key, OwnedSession { handle: SessionHandle::new(&key), label, created, used, expires })
        };
        Ok(self.rows(query)?.into_iter().map(listed).collect())
    }

    async fn count_owned(&mut self, owner: &str, but: &StoredKey) -> QueryResult<i64> {
        let others = session::session_key.ne(KeyParameter::from(but));
        self.only_row(session::table.filter(live_of(owner).and(others)).count())
    }

    async fn oldest_owned(
        &mut self,
        owner: &str,
        but: &StoredKey,
        limit: i64,
    ) -> QueryResult<Vec<StoredKey>> {
        let query = session::table
            .filter(live_of(owner))
            .filter(session::session_key.ne(KeyParameter::from(but)))
            .order((session::created_on, session::session_key))
            .select(session::session_key)
            .limit(limit);
        let keys: Vec<KeyColumn> = self.rows(query)?;
        Ok(keys.into_iter().map(|KeyColumn(key)| key).collect())
    }

    /// Deletes one row at a time, because the client library tells only how many rows a DELETE has found.
    async fn delete_owned(&mut self, keys: &[StoredKey], owner: &str) -> QueryResult<Vec<StoredKey>> {
        let mut deleted = Vec::new();
        for key in keys {
            let theirs = session::table.filter(live_under(key)).filter(session::owner.eq(owner));
            if self.run(diesel::delete(theirs))? == 1 {
                deleted.push(*key);
            }
        }
        Ok(deleted)
    }

    async fn now(&mut self) -> QueryResult<DateTime<Utc>> {
        self.only_row(select(MillisecondsNow)).map(date)
    }

    async fn newest_owned(&mut self, owner: &str) -> QueryResult<Option<DateTime<Utc>>> {
        let newest: Option<i64> =
            self.only_row(session::table.filter(session::owner.eq(owner)).select(max(session::created_on)))?;
        Ok(newest.map(date))
    }

    async fn has_until(
        &mut self,
        [owner, other]: [&str; 2],
        [but, nor]: [&StoredKey; 2],
        until: DateTime<Utc>,
    ) -> QueryResult<bool> {
        let theirs = session::owner.eq(owner).or(session::owner.eq(other));
        let theirs = theirs.and(session::created_on.le(until.timestamp_millis()).nullable());
        let others = session::session_key.ne(KeyParameter::from(but));
        let others = others.and(session::session_key.ne(KeyParameter::from(nor)));
        self.only_row(select(exists(session::table.filter(theirs.and(others)))))
    }

    /// Locks the rows by the index on the owner, then deletes them. A look without locks would find keys that a rotation
    /// has replaced before the DELETE. The other statements lock the row before the index, so a deadlock is possible, and
    /// then the store runs the operation again.
    async fn delete_until(
        &mut self,
        owner: &str,
        but: &StoredKey,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        now: DateTime<Utc>,
        limit: i64,
    ) -> QueryResult<Deleted> {
        let (from, until) = (from.timestamp_millis(), until.timestamp_millis());
        let is_live = session::expire_date.gt(now.timestamp_millis());
        let locked: Vec<(KeyColumn, i64, bool)> = self.rows(
            session::table
                .filter(session::owner.eq(owner))
                .filter(session::created_on.between(from, until))
                .filter(session::session_key.ne(KeyParameter::from(but)))
                .order((session::created_on, session::session_key))
                .select((session::session_key, session::created_on, is_live))
                .limit(limit)
                .for_update(),
        )?;
        let keys = locked.iter().map(|(KeyColumn(key), ..)| KeyParameter::from(key));
        self.run(diesel::delete(session::table.filter(session::session_key.eq_any(keys))))?;
        let deleted: Vec<_> = locked.iter().map(|(_, created, is_live)| (date(*created), *is_live)).collect();
        Ok(Deleted::of(&deleted))
    }

    /// Locks a row that stands for this owner, and for some others. The owner may have no session that could be locked.
    async fn lock_owner(&mut self, owner: &str) -> QueryResult<()> {
        let slot = i16::from(Sha256::digest(owner)[0]);
        let slots = session_owner_lock::table.select(session_owner_lock::slot);
        let locked: Option<i16> = self.row(slots.filter(session_owner_lock::slot.eq(slot)).for_update())?;
        let lost =
            || DatabaseError(DatabaseErrorKind::Unknown, Box::new(MigrationError::LockRowsLost.to_string()));
        locked.map(drop).ok_or_else(lost)
    }
}
