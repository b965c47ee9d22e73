//! The current time by the server's clock.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::BigInt;

/// Milliseconds since 1970 in UTC when the statement began. `UNIX_TIMESTAMP` would be an hour wrong in the hour that a
/// change to winter time repeats.
const NOW: &str = "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000)";

/// The expression [`NOW`]. A declared function of Diesel's cannot have the words `MICROSECOND` and `(6)`.
#[derive(Debug, Clone, Copy, QueryId)]
pub(super) struct MillisecondsNow;

diesel::operator_allowed!(MillisecondsNow, Add, add);

impl Expression for MillisecondsNow {
    type SqlType = BigInt;
}

impl QueryFragment<Mysql> for MillisecondsNow {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(NOW);
        Ok(())
    }
}

impl<T> AppearsOnTable<T> for MillisecondsNow {}

impl<T> SelectableExpression<T> for MillisecondsNow {}

impl<G> ValidGrouping<G> for MillisecondsNow {
    type IsAggregate = is_aggregate::Never;
}
