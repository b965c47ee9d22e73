//! How a typed query is run: the one place that tells connections which block from those which do not.

use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::Pg;
use diesel::query_builder::{Query, QueryFragment, QueryId};

use crate::database::QueryFuture;

/// A connection to PostgreSQL.
pub trait RunQuery: Send {
    /// Runs what returns no rows, and says how many it touched.
    fn execute<Q>(&mut self, query: Q) -> impl QueryFuture<usize>
    where
        Q: QueryFragment<Pg> + QueryId + Send;

    /// The first row.
    fn row<R, Q>(&mut self, query: Q) -> impl QueryFuture<Option<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>;

    /// All rows.
    fn rows<R, Q>(&mut self, query: Q) -> impl QueryFuture<Vec<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>;

    /// The one row of a query that always has one.
    fn only_row<R, Q>(&mut self, query: Q) -> impl QueryFuture<R>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        let row = self.row(query);
        async move { row.await?.ok_or(diesel::NotFound) }
    }
}
