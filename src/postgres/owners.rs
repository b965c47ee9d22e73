//! The queries for owners' sessions on PostgreSQL.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::{array, auto_type, exists, select};
use diesel::prelude::*;
use sha2::{Digest as _, Sha256};

use super::expressions::{
    any_of, candidates, count, latest, live, live_under, pg_advisory_xact_lock, statement_timestamp, used,
    used_now,
};
use super::run_query::RunQuery;
use super::table::session;
use crate::database::key::{FixedChar, KeyColumn, KeyParameter};
use crate::database::{Deleted, OwnerQueries, cached_update};
use crate::key::StoredKey;
use crate::session::{OwnedSession, SessionHandle};

/// A session's key and label; then when it was created, when it was last used, and when it expires.
type OwnedRow = ((KeyColumn, Option<String>), (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>));

#[auto_type(no_type_alias)]
fn live_of<'a>(owner: &'a str) -> _ {
    session::owner.eq(owner).and(live())
}

/// Whether the row still has this owner, which may have changed since the subquery of a DELETE. No index serves this
/// form, so PostgreSQL finds the rows by their keys, as it does in a sweep. Then both lock rows in the same order and
/// cannot deadlock.
#[auto_type(no_type_alias)]
fn is_still_of<'a>(owner: &'a str) -> _ {
    session::owner.is_not_distinct_from(owner)
}

/// Returns the time that a DELETE compares with. A read that leads to a DELETE uses it, because on Citus a SELECT would
/// use a worker's clock. Then the read could count too many sessions, and the DELETE could end the wrong ones.
async fn clock<C: RunQuery>(conn: &mut C) -> QueryResult<DateTime<Utc>> {
    conn.only_row(select(statement_timestamp())).await
}

impl<C: RunQuery> OwnerQueries for C {
    async fn own_live(&mut self, key: &StoredKey, owner: Option<&str>) -> QueryResult<bool> {
        let changes = (session::owner.eq(owner), used_now());
        let update = cached_update(session::table, changes, live_under(key));
        Ok(self.execute(update).await? == 1)
    }

    async fn load_owned(
        &mut self,
        owner: &str,
        (date, key): (DateTime<Utc>, StoredKey),
        limit: i64,
    ) -> QueryResult<Vec<(StoredKey, OwnedSession)>> {
        let older = session::created_on.lt(date).or(session::session_key.lt(KeyParameter::from(&key)));
        let query = session::table
            .filter(live_of(owner).and(session::created_on.le(date)).and(older))
            .order((session::created_on.desc(), session::session_key.desc()))
            .select((
                (session::session_key, session::label),
                (session::created_on, used(), session::expire_date),
            ))
            .limit(limit);
        let rows: Vec<OwnedRow> = self.rows(query).await?;
        let listed = |((KeyColumn(key), label), (created, used, expires)): OwnedRow| {
            let handle = SessionHandle::new(&key);
            (key, OwnedSession { handle, label, created, used, expires })
        };
        Ok(rows.into_iter().map(listed).collect())
    }

    async fn count_owned(&mut self, owner: &str, but: &StoredKey) -> QueryResult<i64> {
        let now = clock(self).await?;
        let live = session::owner.eq(owner).and(session::expire_date.gt(now));
        let others = session::session_key.ne(KeyParameter::from(but));
        self.only_row(session::table.filter(live.and(others)).select(count(session::session_key))).await
    }

    async fn oldest_owned(
        &mut self,
        owner: &str,
        but: &StoredKey,
        limit: i64,
    ) -> QueryResult<Vec<StoredKey>> {
        let now = clock(self).await?;
        let query = session::table
            .filter(session::owner.eq(owner).and(session::expire_date.gt(now)))
            .filter(session::session_key.ne(KeyParameter::from(but)))
            .order((session::created_on, session::session_key))
            .select(session::session_key)
            .limit(limit);
        let keys: Vec<KeyColumn> = self.rows(query).await?;
        Ok(keys.into_iter().map(|KeyColumn(key)| key).collect())
    }

    async fn delete_owned(&mut self, keys: &[StoredKey], owner: &str) -> QueryResult<Vec<StoredKey>> {
        let keys: Vec<KeyParameter<'_>> = keys.iter().map(KeyParameter::from).collect();
        // The same form as in a sweep, so that both lock rows in the same order.
        let some = candidates
            .filter(candidates.field(session::session_key).eq_any(keys))
            .select(candidates.field(session::session_key));
        let delete = diesel::delete(
            session::table
                .filter(session::session_key.eq(any_of(array::<FixedChar, _>(some))))
                .filter(is_still_of(owner).and(live())),
        );
        let keys: Vec<KeyColumn> = self.rows(delete.returning(session::session_key)).await?;
        Ok(keys.into_iter().map(|KeyColumn(key)| key).collect())
    }

    async fn now(&mut self) -> QueryResult<DateTime<Utc>> {
        // The column rounds up by at most half of these 10 ms.
        Ok(clock(self).await? + TimeDelta::milliseconds(10))
    }

    async fn newest_owned(&mut self, owner: &str) -> QueryResult<Option<DateTime<Utc>>> {
        let theirs = session::table.filter(session::owner.eq(owner));
        self.only_row(theirs.select(latest(session::created_on))).await
    }

    async fn has_until(
        &mut self,
        owners: [&str; 2],
        [but, nor]: [&StoredKey; 2],
        until: DateTime<Utc>,
    ) -> QueryResult<bool> {
        let theirs = session::owner.eq_any(owners).and(session::created_on.le(until));
        let others = session::session_key.ne(KeyParameter::from(but));
        let others = others.and(session::session_key.ne(KeyParameter::from(nor)));
        self.only_row(select(exists(session::table.filter(theirs.and(others))))).await
    }

    async fn delete_until(
        &mut self,
        owner: &str,
        but: &StoredKey,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        now: DateTime<Utc>,
        limit: i64,
    ) -> QueryResult<Deleted> {
        let some = candidates
            .filter(candidates.field(session::owner).eq(owner))
            .filter(candidates.field(session::created_on).ge(from))
            .filter(candidates.field(session::created_on).le(until))
            .filter(candidates.field(session::session_key).ne(KeyParameter::from(but)))
            .order(candidates.field(session::created_on))
            .select(candidates.field(session::session_key))
            .limit(limit);
        let delete = diesel::delete(
            session::table
                .filter(session::session_key.eq(any_of(array::<FixedChar, _>(some))))
                .filter(is_still_of(owner)),
        );
        let deleted = delete.returning((session::created_on, session::expire_date.gt(now)));
        let deleted: Vec<(DateTime<Utc>, bool)> = self.rows(deleted).await?;
        Ok(Deleted::of(&deleted))
    }

    async fn lock_owner(&mut self, owner: &str) -> QueryResult<()> {
        // Two owners may have the same number. Then they sometimes wait for each other, which is harmless.
        let digest = Sha256::new().chain_update("diesel-session owner:").chain_update(owner).finalize();
        let mut number = [0; 8];
        number.copy_from_slice(&digest[..8]);
        self.execute(select(pg_advisory_xact_lock(i64::from_be_bytes(number)))).await.map(drop)
    }
}
