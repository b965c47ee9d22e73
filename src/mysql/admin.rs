//! The queries over the sessions of all owners on MariaDB. The primary key has their order.

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, select};
use diesel::prelude::*;

use super::clock::MillisecondsNow;
use super::expressions::live;
use super::queries::everything;
use super::run_query::RunQuery as _;
use super::table::session;
use crate::database::key::{KeyColumn, KeyParameter};
use crate::database::milliseconds::{FoundRow, found, milliseconds};
use crate::database::{AdminQueries, NewRow};
use crate::key::StoredKey;
use crate::options::Period;
use crate::session::Session;

impl AdminQueries for MysqlConnection {
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
        let rows: Vec<(KeyColumn, FoundRow)> = self.rows(query)?;
        Ok(rows.into_iter().map(|(KeyColumn(key), row)| (key, found(&key, row))).collect())
    }

    async fn keys_from(&mut self, from: &StoredKey, limit: i64) -> QueryResult<Vec<StoredKey>> {
        let query = session::table
            .filter(session::session_key.ge(KeyParameter::from(from)))
            .order(session::session_key)
            .select(session::session_key)
            .limit(limit);
        let keys: Vec<KeyColumn> = self.rows(query)?;
        Ok(keys.into_iter().map(|KeyColumn(key)| key).collect())
    }

    /// Locks the rows by the primary key, then deletes them.
    async fn delete_from(&mut self, from: &StoredKey, limit: i64) -> QueryResult<Vec<(StoredKey, bool)>> {
        let is_session = session::session_key.gt(KeyParameter::from(&StoredKey::FIRST));
        let locked: Vec<(KeyColumn, bool)> = self.rows(
            session::table
                .filter(session::session_key.ge(KeyParameter::from(from)))
                .order(session::session_key)
                .select((session::session_key, is_session.and(live())))
                .limit(limit)
                .for_update(),
        )?;
        let keys = locked.iter().map(|(KeyColumn(key), _)| KeyParameter::from(key));
        self.run(diesel::delete(session::table.filter(session::session_key.eq_any(keys))))?;
        Ok(locked.into_iter().map(|(KeyColumn(key), is_live)| (key, is_live)).collect())
    }

    async fn has_any_until(&mut self, until: DateTime<Utc>) -> QueryResult<bool> {
        let no_import = session::session_key.ge(KeyParameter::from(&StoredKey::START));
        let older = session::created_on.le(until.timestamp_millis()).and(no_import);
        self.only_row(select(exists(session::table.filter(older))))
    }

    async fn values_under(&mut self, keys: &[StoredKey]) -> QueryResult<Vec<(StoredKey, Option<String>)>> {
        let keys = keys.iter().map(KeyParameter::from);
        let query = session::table
            .filter(session::session_key.eq_any(keys))
            .select((session::session_key, session::session_data));
        let rows: Vec<(KeyColumn, Option<String>)> = self.rows(query)?;
        Ok(rows.into_iter().map(|(KeyColumn(key), value)| (key, value)).collect())
    }

    /// `IGNORE` turns other errors into warnings as well. But the store has checked all lengths, and no column that
    /// must have a value gets none.
    async fn insert_rows(&mut self, rows: &[(StoredKey, NewRow<'_>, Period)]) -> QueryResult<()> {
        // A statement must fit into a packet. A value that is larger fits alone.
        const FEW: usize = 256 << 10;
        let mut size = 0;
        let is_small = |(_, row, _): &(StoredKey, NewRow<'_>, Period), _: &_| {
            size += row.value.map_or(0, str::len) + 1_024;
            let fits = size < FEW;
            size = if fits { size } else { 0 };
            fits
        };
        for rows in rows.chunk_by(is_small) {
            let rows = rows.iter().map(|(key, row, period)| {
                (
                    session::session_key.eq(KeyParameter::from(key)),
                    session::expire_date.eq(MillisecondsNow + milliseconds(*period)),
                    session::session_data.eq(row.value),
                    session::owner.eq(row.owner),
                    session::label.eq(row.label),
                )
            });
            let rows: Vec<_> = rows.collect();
            let _inserted = self.run(diesel::insert_or_ignore_into(session::table).values(rows))?;
        }
        Ok(())
    }
}
