//! An UPDATE that is prepared once a connection.

use diesel::backend::Backend;
use diesel::expression::{AppearsOnTable, Expression};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Bool;

/// `UPDATE table SET changes WHERE predicate`, typed as Diesel's own, and kept in the cache of prepared
/// statements. Diesel never caches its own UPDATE, since a changeset may leave columns out from call to
/// call; ours never does, for none of its columns is an `Option` of an assignment.
#[derive(Debug)]
pub(super) struct CachedUpdate<F, C, P> {
    table: F,
    changes: C,
    predicate: P,
}

pub(super) fn cached_update<T, C, P>(
    table: T,
    changes: C,
    predicate: P,
) -> CachedUpdate<T::FromClause, C::Changeset, P>
where
    T: Table,
    C: AsChangeset<Target = T>,
    P: AppearsOnTable<T> + Expression<SqlType = Bool>,
{
    CachedUpdate { table: table.from_clause(), changes: changes.as_changeset(), predicate }
}

impl<F, C, P, DB> QueryFragment<DB> for CachedUpdate<F, C, P>
where
    DB: Backend,
    F: QueryFragment<DB>,
    C: QueryFragment<DB>,
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

/// The cache goes by the SQL text, in which no value stands.
impl<F, C, P> QueryId for CachedUpdate<F, C, P> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<F, C, P, Conn> RunQueryDsl<Conn> for CachedUpdate<F, C, P> {}
