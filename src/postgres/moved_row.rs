//! A row that moves to another key, because a database may let no key be updated; and one that leaves another beside it.

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

use super::table::session;

diesel::table! {
    use diesel::sql_types::{Nullable, Text, Timestamptz};

    /// What the DELETE returned.
    moved (created_on) {
        created_on -> Timestamptz,
        expire_date -> Timestamptz,
        session_data -> Nullable<Text>,
        owner -> Nullable<Text>,
        label -> Nullable<Text>,
    }
}

/// What the DELETE returns: the columns of `moved`, in their order.
pub(super) const MOVED: (
    session::created_on,
    session::expire_date,
    session::session_data,
    session::owner,
    session::label,
) = (session::created_on, session::expire_date, session::session_data, session::owner, session::label);

/// `WITH moved AS (DELETE ... RETURNING ...) INSERT ... SELECT ... FROM moved`, which Diesel's own queries lack: one
/// statement out of several of Diesel's, all typed.
#[derive(Debug, QueryId)]
pub(super) struct MovedRow<D, I> {
    /// A DELETE that returns [`MOVED`].
    pub(super) delete: D,
    /// An INSERT that selects from `moved`, as the first of [`Both`].
    pub(super) insert: I,
}

impl<D, I, DB> QueryFragment<DB> for MovedRow<D, I>
where
    DB: Backend,
    D: QueryFragment<DB>,
    I: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("WITH moved AS (");
        self.delete.walk_ast(out.reborrow())?;
        out.push_sql(") ");
        self.insert.walk_ast(out.reborrow())
    }
}

impl<D, I, Conn> RunQueryDsl<Conn> for MovedRow<D, I> {}

/// Two statements that select from `moved`; PostgreSQL counts the rows of the last one. On Citus a single INSERT would run on
/// a worker and go by its clock. Of two statements the first goes by the coordinator's clock, as every other write does.
#[derive(Debug, QueryId)]
pub(super) struct Both<F, L> {
    pub(super) first: F,
    pub(super) last: L,
}

impl<F, L, DB> QueryFragment<DB> for Both<F, L>
where
    DB: Backend,
    F: QueryFragment<DB>,
    L: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        // The WITH of `MovedRow` goes on.
        out.push_sql(", first AS (");
        self.first.walk_ast(out.reborrow())?;
        out.push_sql(") ");
        self.last.walk_ast(out.reborrow())
    }
}

/// `WITH moved AS (UPDATE ... RETURNING created_on) INSERT ... SELECT ... FROM moved`.
#[derive(Debug, QueryId)]
pub(super) struct UpdatedRow<U, I> {
    /// An UPDATE of one session.
    pub(super) update: U,
    /// The same, but it selects only `created_on`.
    pub(super) insert: I,
}

impl<U, I, DB> QueryFragment<DB> for UpdatedRow<U, I>
where
    DB: Backend,
    U: QueryFragment<DB>,
    I: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("WITH moved AS (");
        self.update.walk_ast(out.reborrow())?;
        out.push_sql(" RETURNING created_on) ");
        self.insert.walk_ast(out.reborrow())
    }
}

impl<U, I, Conn> RunQueryDsl<Conn> for UpdatedRow<U, I> {}
