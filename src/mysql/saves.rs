//! The queries for saves on MariaDB.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::expressions::{expire_date, live_under, same, used_now};
use super::run_query::RunQuery as _;
use super::table::session;
use crate::database::{NewRow, SaveQueries, SavedText, cached_update};
use crate::key::StoredKey;
use crate::options::Deadline;

impl SaveQueries for MysqlConnection {
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
        let same_owner = keeps_owner.into_sql::<Bool>().or(same(session::owner, owner));
        let same_label = keeps_label.into_sql::<Bool>().or(same(session::label, label));
        let is_unchanged = live_under(key).and(same_owner).and(same_label);
        let is_base = same(session::session_data, base);
        let end = session::expire_date.eq(expire_date(deadline));
        let rows = match value.map(|value| session::session_data.eq(value)) {
            Some(value) => {
                self.run(cached_update(session::table, (value, end, used_now()), is_unchanged.and(is_base)))?
            }
            None => self.run(cached_update(session::table, (end, used_now()), is_unchanged))?,
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
        Ok(self.run(cached_update(session::table, changes, live_under(key)))? == 1)
    }
}
