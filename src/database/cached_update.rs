//! An UPDATE that is prepared once per connection.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::expression::{AppearsOnTable, Expression};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Bool;

/// `UPDATE table SET changes WHERE predicate`, with the types of Diesel's own UPDATE, and kept in the cache of prepared
/// statements. Diesel never caches its own UPDATE, because a changeset may leave out columns from call to call. This
/// one leaves out no column, because none of its columns is an `Option` of an assignment.
#[derive(Debug)]
pub(crate) struct CachedUpdate<T: Table, C: AsChangeset, P> {
    table: T::FromClause,
    changes: C::Changeset,
    predicate: P,
}

pub(crate) fn cached_update<T, C, P>(table: T, changes: C, predicate: P) -> CachedUpdate<T, C, P>
where
    T: Table,
    C: AsChangeset<Target = T>,
    P: AppearsOnTable<T> + Expression<SqlType = Bool>,
{
    CachedUpdate { table: table.from_clause(), changes: changes.as_changeset(), predicate }
}

impl<T, C, P, DB> QueryFragment<DB> for CachedUpdate<T, C, P>
where
    DB: Backend,
    T: Table,
    T::FromClause: QueryFragment<DB>,
    C: AsChangeset,
    C::Changeset: QueryFragment<DB>,
    P: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("UPDATE ");
        self.table.walk_ast(out.reborrow())?;
        out.push_sql(" SET ");
        self.changes.walk_ast(out.reborrow())?;
        out.push_sql(" WHERE ");
        self.predicate.walk_ast(out.reborrow())
    }
}

/// Identifies the statement by the types of its parts, without their values. So Diesel finds it without making its SQL
/// again. `C` is the type of the changes as they were given, because a changeset has no id in Diesel.
#[derive(Debug)]
pub(crate) struct UpdateId<T, C, P>(PhantomData<(T, C, P)>);

impl<T, C, P> QueryId for CachedUpdate<T, C, P>
where
    T: Table + QueryId,
    C: AsChangeset + QueryId,
    P: QueryId,
{
    type QueryId = UpdateId<T::QueryId, C::QueryId, P::QueryId>;
    const HAS_STATIC_QUERY_ID: bool =
        T::HAS_STATIC_QUERY_ID && C::HAS_STATIC_QUERY_ID && P::HAS_STATIC_QUERY_ID;
}

impl<T: Table, C: AsChangeset, P, Conn> RunQueryDsl<Conn> for CachedUpdate<T, C, P> {}
