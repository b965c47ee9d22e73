//! Statements that move a row to another key, or that write a second row beside it. A move deletes and inserts, because
//! a database may not allow an update of the key.

use diesel::backend::Backend;
use diesel::data_types::PgInterval;
use diesel::dsl::auto_type;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Interval;

use super::expressions::{interval_of_life, timezone};
use super::table::session;
use super::utc_zone::UtcZone;
use crate::options::Period;

diesel::table! {
    use diesel::sql_types::{Nullable, Text, Timestamptz};

    /// The row that the DELETE returned.
    moved (created_on) {
        created_on -> Timestamptz,
        expire_date -> Timestamptz,
        session_data -> Nullable<Text>,
        owner -> Nullable<Text>,
        label -> Nullable<Text>,
    }
}

/// The columns that the DELETE returns: those of `moved`, in their order.
pub(super) const MOVED: (
    session::created_on,
    session::expire_date,
    session::session_data,
    session::owner,
    session::label,
) = (session::created_on, session::expire_date, session::session_data, session::owner, session::label);

/// The columns of the session that continues under another key.
pub(super) const CONTINUED: (
    session::session_key,
    session::created_on,
    session::expire_date,
    session::session_data,
    session::owner,
    session::label,
    session::used_on,
) = (
    session::session_key,
    session::created_on,
    session::expire_date,
    session::session_data,
    session::owner,
    session::label,
    session::used_on,
);

/// The latest time at which the moved session ends, if it has this lifetime.
#[auto_type]
pub(super) fn end_of_moved_life(lifetime: Period) -> _ {
    let lifetime: PgInterval = interval_of_life(lifetime);
    let lifetime = lifetime.into_sql::<Interval>();
    timezone(UtcZone, moved::created_on.at_time_zone(UtcZone) + lifetime)
}

/// `WITH moved AS (DELETE ... RETURNING ...), first AS (INSERT ...) ...`: one statement made of three typed statements
/// of Diesel's, which has no such query. PostgreSQL returns the row count of the last one. On Citus, a statement of two
/// parts would run on a worker and use the worker's clock. This one uses the coordinator's clock, as every other write
/// does.
#[derive(Debug, QueryId)]
pub(super) struct MovedRow<C, F, L> {
    /// A DELETE that returns [`MOVED`], or an UPDATE that returns some of these columns.
    pub(super) change: C,
    /// An INSERT that selects from `moved`.
    pub(super) first: F,
    /// An INSERT or a SELECT, also from `moved`.
    pub(super) last: L,
}

impl<C, F, L, DB> QueryFragment<DB> for MovedRow<C, F, L>
where
    DB: Backend,
    C: QueryFragment<DB>,
    F: QueryFragment<DB>,
    L: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("WITH moved AS (");
        self.change.walk_ast(out.reborrow())?;
        out.push_sql("), first AS (");
        self.first.walk_ast(out.reborrow())?;
        out.push_sql(") ");
        self.last.walk_ast(out.reborrow())
    }
}

impl<C, F, L, Conn> RunQueryDsl<Conn> for MovedRow<C, F, L> {}

/// An UPDATE that returns `created_on`. Diesel never caches its own statement of this form.
#[derive(Debug, QueryId)]
pub(super) struct ReturningCreation<U>(pub(super) U);

impl<U, DB> QueryFragment<DB> for ReturningCreation<U>
where
    DB: Backend,
    U: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(" RETURNING created_on");
        Ok(())
    }
}
