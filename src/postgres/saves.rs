//! The queries for saves on PostgreSQL.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::expressions::{expire_date, interval, live_under, statement_timestamp, used_now};
use super::run_query::RunQuery;
use super::table::session;
use crate::database::{NewRow, SaveQueries, SavedText, cached_update};
use crate::key::StoredKey;
use crate::options::Deadline;

impl<C: RunQuery> SaveQueries for C {
    async fn save_live(
        &mut self,
        key: &StoredKey,
        base: &str,
        value: Option<&str>,
        (owner, label): (&SavedText, &SavedText),
        deadline: Deadline,
    ) -> QueryResult<bool> {
        // One statement serves all cases. It does not compare an owner or a label that the save keeps. Nor does it
        // compare the value if the request has not changed it.
        let ((keeps_owner, owner), (keeps_label, label)) = (owner.parts(), label.parts());
        let same_owner = keeps_owner.into_sql::<Bool>().or(session::owner.is_not_distinct_from(owner));
        let same_label = keeps_label.into_sql::<Bool>().or(session::label.is_not_distinct_from(label));
        let is_unchanged = live_under(key).and(same_owner).and(same_label);
        let is_base = session::session_data.is_not_distinct_from(base);
        let endless = || session::expire_date.eq(statement_timestamp() + interval(deadline.period));
        let limited = || session::expire_date.eq(expire_date(deadline));
        // Each case has its own statement. With the calculation of an endless lifetime it would cost a quarter more.
        let rows = match (value.map(|value| session::session_data.eq(value)), deadline.is_endless()) {
            (Some(value), true) => {
                let changes = (value, endless(), used_now());
                let is_unchanged = is_unchanged.and(is_base);
                self.execute(cached_update(session::table, changes, is_unchanged)).await?
            }
            (Some(value), false) => {
                let changes = (value, limited(), used_now());
                let is_unchanged = is_unchanged.and(is_base);
                self.execute(cached_update(session::table, changes, is_unchanged)).await?
            }
            (None, true) => {
                self.execute(cached_update(session::table, (endless(), used_now()), is_unchanged)).await?
            }
            (None, false) => {
                self.execute(cached_update(session::table, (limited(), used_now()), is_unchanged)).await?
            }
        };
        Ok(rows == 1)
    }

    async fn overwrite_live(
        &mut self,
        key: &StoredKey,
        row: NewRow<'_>,
        deadline: Deadline,
    ) -> QueryResult<bool> {
        let changes = (
            session::session_data.eq(row.value),
            session::owner.eq(row.owner),
            session::label.eq(row.label),
            session::expire_date.eq(expire_date(deadline)),
            used_now(),
        );
        Ok(self.execute(cached_update(session::table, changes, live_under(key))).await? == 1)
    }
}
