//! The current time by SQLite's clock.

use diesel::backend::Backend;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::BigInt;

/// Milliseconds since 1970 in UTC. The function `unixepoch('now', 'subsec')` is NULL before SQLite 3.42. `julianday`
/// counts days since noon in 4714 BC.
///
/// SQLite's clock has whole milliseconds, but in days they become slightly smaller or larger. The 0.5 corrects this.
/// Without it, one instant in two would fall into the millisecond before, and a session would live one millisecond too
/// long.
const NOW: &str = "CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS BIGINT)";

/// The expression [`NOW`]. A typed expression of Diesel's would bind four parameters each time.
#[derive(Debug, Clone, Copy, QueryId)]
pub(super) struct MillisecondsNow;

diesel::operator_allowed!(MillisecondsNow, Add, add);
diesel::operator_allowed!(MillisecondsNow, Div, div);

impl Expression for MillisecondsNow {
    type SqlType = BigInt;
}

impl<DB: Backend> QueryFragment<DB> for MillisecondsNow {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(NOW);
        Ok(())
    }
}

impl<T> AppearsOnTable<T> for MillisecondsNow {}

impl<T> SelectableExpression<T> for MillisecondsNow {}

impl<G> ValidGrouping<G> for MillisecondsNow {
    type IsAggregate = is_aggregate::Never;
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use diesel::dsl::{select, sql};

    use super::*;

    #[test]
    fn an_instant_is_its_own_millisecond() {
        let mut conn = SqliteConnection::establish(":memory:").expect("SQLite in memory");
        for milliseconds in (1_795_000_000_000..).step_by(86_397_003).take(2_000) {
            let instant = DateTime::<Utc>::from_timestamp_millis(milliseconds).expect("a date");
            let then = NOW.replace("now", &instant.format("%F %T%.3f").to_string());
            assert_eq!(select(sql::<BigInt>(&then)).get_result(&mut conn), Ok(milliseconds), "{then}");
        }
    }
}
