//! Runs typed queries. Only this module distinguishes connections that block from those that do not.

use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::Pg;
use diesel::query_builder::{Query, QueryFragment, QueryId};

use crate::database::QueryFuture;

/// A connection to PostgreSQL.
pub trait RunQuery: Send {
    /// Runs a statement that returns no rows, and returns how many rows it affected.
    fn execute<Q>(&mut self, query: Q) -> impl QueryFuture<usize>
    where
        Q: QueryFragment<Pg> + QueryId + Send;

    /// Runs a query, and returns its first row.
    fn row<R, Q>(&mut self, query: Q) -> impl QueryFuture<Option<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>;

    /// Runs a query, and returns all rows.
    fn rows<R, Q>(&mut self, query: Q) -> impl QueryFuture<Vec<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>;

    /// Runs a query that always has one row, and returns that row.
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
