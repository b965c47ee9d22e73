//! The time zone UTC, as an SQL literal.

use diesel::backend::Backend;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Text;

/// The literal `'UTC'`. As a parameter, every `set` would send it twice.
#[derive(Debug, Clone, Copy, QueryId)]
pub(super) struct UtcZone;

impl Expression for UtcZone {
    type SqlType = Text;
}

impl<DB: Backend> QueryFragment<DB> for UtcZone {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("'UTC'");
        Ok(())
    }
}

impl<T> AppearsOnTable<T> for UtcZone {}

impl<T> SelectableExpression<T> for UtcZone {}

impl<G> ValidGrouping<G> for UtcZone {
    type IsAggregate = is_aggregate::Never;
}
