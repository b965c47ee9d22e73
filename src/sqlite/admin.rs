//! The queries over the sessions of all owners on SQLite. The primary key has their order.

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, select};
use diesel::prelude::*;

use super::clock::MillisecondsNow;
use super::expressions::{candidates, live};
use super::queries::everything;
use super::table::session;
use crate::database::AdminQueries;
use crate::database::key::{KeyColumn, KeyParameter};
use crate::database::milliseconds::{FoundRow, found};
use crate::key::StoredKey;
use crate::session::Session;

impl AdminQueries for SqliteConnection {
    async fn load_from(
        &mut self,
        from: &StoredKey,
        owner: Option<&str>,
        limit: i64,
    ) -> QueryResult<Vec<(StoredKey, Session)>> {
        let mut query = session::table
            .filter(session::session_key.ge(KeyParameter::from(from)).and(live()))
            .order(session::session_key)
            .select((session::session_key, everything()))
            .limit(limit)
            .into_boxed();
        if let Some(owner) = owner {
            query = query.filter(session::owner.eq(owner));
        }
        let rows: Vec<(KeyColumn, FoundRow)> = query.load(self)?;
        Ok(rows.into_iter().map(|(KeyColumn(key), row)| (key, found(&key, row))).collect())
    }

    async fn keys_from(&mut self, from: &StoredKey, limit: i64) -> QueryResult<Vec<StoredKey>> {
        let keys: Vec<KeyColumn> = session::table
            .filter(session::session_key.ge(KeyParameter::from(from)))
            .order(session::session_key)
            .select(session::session_key)
            .limit(limit)
            .load(self)?;
        Ok(keys.into_iter().map(|KeyColumn(key)| key).collect())
    }

    /// No other connection writes between the SELECT and the DELETE.
    async fn delete_from(&mut self, from: &StoredKey, limit: i64) -> QueryResult<Vec<(StoredKey, bool)>> {
        let some = || {
            candidates
                .filter(candidates.field(session::session_key).ge(KeyParameter::from(from)))
                .order(candidates.field(session::session_key))
                .limit(limit)
        };
        let is_session = candidates.field(session::session_key).gt(KeyParameter::from(&StoredKey::FIRST));
        let is_live = is_session.and(candidates.field(session::expire_date).gt(MillisecondsNow));
        let found: Vec<(KeyColumn, bool)> =
            some().select((candidates.field(session::session_key), is_live)).load(self)?;
        let keys = some().select(candidates.field(session::session_key));
        if diesel::delete(session::table.filter(session::session_key.eq_any(keys))).execute(self)? == 0 {
            // A trigger keeps them.
            return Ok(Vec::new());
        }
        Ok(found.into_iter().map(|(KeyColumn(key), is_live)| (key, is_live)).collect())
    }

    async fn has_any_until(&mut self, until: DateTime<Utc>) -> QueryResult<bool> {
        let no_import = session::session_key.ge(KeyParameter::from(&StoredKey::START));
        let older = session::created_on.le(until.timestamp_millis()).and(no_import);
        select(exists(session::table.filter(older))).get_result(self)
    }

    async fn values_under(&mut self, keys: &[StoredKey]) -> QueryResult<Vec<(StoredKey, Option<String>)>> {
        let keys = keys.iter().map(KeyParameter::from);
        let rows: Vec<(KeyColumn, Option<String>)> = session::table
            .filter(session::session_key.eq_any(keys))
            .select((session::session_key, session::session_data))
            .load(self)?;
        Ok(rows.into_iter().map(|(KeyColumn(key), value)| (key, value)).collect())
    }
}
