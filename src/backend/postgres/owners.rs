//! The queries for owners' sessions on PostgreSQL.

use chrono::{DateTime, Utc};
use diesel::dsl::{array, auto_type, select};
use diesel::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{any_of, candidates, live, live_under, pg_advisory_xact_lock, statement_timestamp};
use crate::backend::cached_update::cached_update;
use crate::backend::{OwnedRow, OwnerQueries};
use crate::key::StoredKey;
use crate::schema::postgres::{FixedChar, session};
use crate::schema::{KeyColumn, KeyParameter};

#[auto_type(no_type_alias)]
fn live_of<'a>(owner: &'a str) -> _ {
    session::owner.eq(owner).and(live())
}

impl OwnerQueries for PgConnection {
    fn own_live(&mut self, key: &StoredKey, owner: Option<&str>) -> QueryResult<bool> {
        cached_update(session::table, session::owner.eq(owner), live_under(key))
            .execute(self)
            .map(|rows| rows == 1)
    }

    fn load_owner(&mut self, key: &StoredKey) -> QueryResult<Option<(Option<String>,)>> {
        session::table.filter(live_under(key)).select((session::owner,)).get_result(self).optional()
    }

    fn load_owned(&mut self, owner: &str) -> QueryResult<Vec<OwnedRow>> {
        let rows = session::table
            .filter(live_of(owner))
            .order((session::created_on, session::session_key))
            .select((session::session_key, session::created_on, session::expire_date))
            .load::<(KeyColumn, DateTime<Utc>, DateTime<Utc>)>(self)?;
        Ok(rows.into_iter().map(|(KeyColumn(key), created, expires)| (key, created, expires)).collect())
    }

    fn count_owned(&mut self, owner: &str, but: &StoredKey) -> QueryResult<i64> {
        let others = session::session_key.ne(KeyParameter::from(but));
        session::table.filter(live_of(owner).and(others)).count().get_result(self)
    }

    fn delete_if_owned(&mut self, key: &StoredKey, owner: &str) -> QueryResult<bool> {
        diesel::delete(session::table.filter(live_under(key)).filter(session::owner.eq(owner)))
            .execute(self)
            .map(|rows| rows == 1)
    }

    fn delete_owned(&mut self, owner: &str, but: &StoredKey) -> QueryResult<usize> {
        let others = session::session_key.ne(KeyParameter::from(but));
        diesel::delete(session::table.filter(live_of(owner).and(others))).execute(self)
    }

    fn delete_oldest(&mut self, owner: &str, but: &StoredKey, sessions: i64) -> QueryResult<usize> {
        let oldest = candidates
            .filter(candidates.field(session::owner).eq(owner))
            .filter(candidates.field(session::expire_date).gt(statement_timestamp()))
            .filter(candidates.field(session::session_key).ne(KeyParameter::from(but)))
            .order((candidates.field(session::created_on), candidates.field(session::session_key)))
            .select(candidates.field(session::session_key))
            .limit(sessions);
        // Whose it is and whether it lives is judged again outside: it may have changed meanwhile.
        diesel::delete(
            session::table
                .filter(session::session_key.eq(any_of(array::<FixedChar, _>(oldest))))
                .filter(live_of(owner)),
        )
        .execute(self)
    }

    fn lock_owner(&mut self, owner: &str) -> QueryResult<()> {
        // Two owners of one number wait for each other now and then, and nothing worse.
        let digest = Sha256::new().chain_update("diesel-session owner:").chain_update(owner).finalize();
        let mut number = [0; 8];
        number.copy_from_slice(&digest[..8]);
        select(pg_advisory_xact_lock(i64::from_be_bytes(number))).execute(self).map(drop)
    }
}
