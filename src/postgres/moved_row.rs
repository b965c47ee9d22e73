//! A row that moves to another key, where a database lets no key be updated.

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

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

/// `WITH moved AS (DELETE ... RETURNING ...) INSERT ... SELECT ... FROM moved`, which Diesel's own queries lack: one
/// statement out of two of Diesel's, both typed.
#[derive(Debug, QueryId)]
pub(super) struct MovedRow<D, I> {
    /// A DELETE that returns the columns of `moved`, in their order.
    pub(super) delete: D,
    /// An INSERT that selects from `moved`.
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
