//! The queries for saves on SQLite.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::clock::MillisecondsNow;
use super::expressions::{expire_date, live_under, used_now};
use super::table::session;
use crate::database::milliseconds::milliseconds;
use crate::database::{NewRow, SaveQueries, SavedText, cached_update};
use crate::key::StoredKey;
use crate::options::Deadline;

impl SaveQueries for SqliteConnection {
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
        let same_owner = keeps_owner.into_sql::<Bool>().or(session::owner.is(owner));
        let same_label = keeps_label.into_sql::<Bool>().or(session::label.is(label));
        let is_unchanged = live_under(key).and(same_owner).and(same_label);
        let is_base = session::session_data.is(base);
        let endless = || session::expire_date.eq(MillisecondsNow + milliseconds(deadline.period));
        let limited = || session::expire_date.eq(expire_date(deadline));
        // Each case has its own statement. With the calculation of an endless lifetime it would cost a quarter more.
        let rows = match (value.map(|value| session::session_data.eq(value)), deadline.is_endless()) {
            (Some(value), true) => {
                cached_update(session::table, (value, endless(), used_now()), is_unchanged.and(is_base))
                    .execute(self)?
            }
            (Some(value), false) => {
                cached_update(session::table, (value, limited(), used_now()), is_unchanged.and(is_base))
                    .execute(self)?
            }
            (None, true) => {
                cached_update(session::table, (endless(), used_now()), is_unchanged).execute(self)?
            }
            (None, false) => {
                cached_update(session::table, (limited(), used_now()), is_unchanged).execute(self)?
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
        cached_update(session::table, changes, live_under(key)).execute(self).map(|rows| rows == 1)
    }
}
