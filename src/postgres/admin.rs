//! The queries over the sessions of all owners on PostgreSQL. The primary key has their order.

use chrono::{DateTime, Utc};
use diesel::dsl::{array, exists, select};
use diesel::prelude::*;

use super::expressions::{any_of, candidates, interval, live, statement_timestamp};
use super::queries::{FoundRow, everything, found};
use super::run_query::RunQuery;
use super::table::session;
use crate::database::key::{FixedChar, KeyColumn, KeyParameter};
use crate::database::{AdminQueries, NewRow};
use crate::key::StoredKey;
use crate::options::Period;
use crate::session::Session;

impl<C: RunQuery> AdminQueries for C {
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
        let rows: Vec<(KeyColumn, FoundRow)> = self.rows(query).await?;
        Ok(rows.into_iter().map(|(KeyColumn(key), row)| (key, found(&key, row))).collect())
    }

    async fn keys_from(&mut self, from: &StoredKey, limit: i64) -> QueryResult<Vec<StoredKey>> {
        let query = session::table
            .filter(session::session_key.ge(KeyParameter::from(from)))
            .order(session::session_key)
            .select(session::session_key)
            .limit(limit);
        let keys: Vec<KeyColumn> = self.rows(query).await?;
        Ok(keys.into_iter().map(|KeyColumn(key)| key).collect())
    }

    async fn delete_from(&mut self, from: &StoredKey, limit: i64) -> QueryResult<Vec<(StoredKey, bool)>> {
        let some = candidates
            .filter(candidates.field(session::session_key).ge(KeyParameter::from(from)))
            .order(candidates.field(session::session_key))
            .select(candidates.field(session::session_key))
            .limit(limit);
        let delete = diesel::delete(
            session::table.filter(session::session_key.eq(any_of(array::<FixedChar, _>(some)))),
        );
        let was_live = session::session_key.gt(KeyParameter::from(&StoredKey::FIRST)).and(live());
        let deleted: Vec<(KeyColumn, bool)> =
            self.rows(delete.returning((session::session_key, was_live))).await?;
        Ok(deleted.into_iter().map(|(KeyColumn(key), was_live)| (key, was_live)).collect())
    }

    async fn has_any_until(&mut self, until: DateTime<Utc>) -> QueryResult<bool> {
        let no_import = session::session_key.ge(KeyParameter::from(&StoredKey::START));
        let older = session::table.filter(session::created_on.le(until).and(no_import));
        self.only_row(select(exists(older))).await
    }

    async fn values_under(&mut self, keys: &[StoredKey]) -> QueryResult<Vec<(StoredKey, Option<String>)>> {
        let keys = keys.iter().map(KeyParameter::from);
        let query = session::table
            .filter(session::session_key.eq_any(keys))
            .select((session::session_key, session::session_data));
        let rows: Vec<(KeyColumn, Option<String>)> = self.rows(query).await?;
        Ok(rows.into_iter().map(|(KeyColumn(key), value)| (key, value)).collect())
    }

    async fn insert_rows(&mut self, rows: &[(StoredKey, NewRow<'_>, Period)]) -> QueryResult<()> {
        let rows = rows.iter().map(|(key, row, period)| {
            (
                session::session_key.eq(KeyParameter::from(key)),
                session::expire_date.eq(statement_timestamp() + interval(*period)),
                session::session_data.eq(row.value),
                session::owner.eq(row.owner),
                session::label.eq(row.label),
            )
        });
        let rows: Vec<_> = rows.collect();
        let insert = diesel::insert_into(session::table).values(rows);
        let _inserted = self.execute(insert.on_conflict(session::session_key).do_nothing()).await?;
        Ok(())
    }
}
