//! The queries over the sessions of all owners on PostgreSQL. The primary key has their order.

use chrono::{DateTime, Utc};
use diesel::dsl::{array, exists, select};
use diesel::prelude::*;

use super::expressions::{any_of, candidates, live};
use super::queries::{FoundRow, everything, found};
use super::run_query::RunQuery;
use super::table::session;
use crate::database::AdminQueries;
use crate::database::key::{FixedChar, KeyColumn, KeyParameter};
use crate::key::StoredKey;
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
}
