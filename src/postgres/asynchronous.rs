//! Queries and transactions on diesel-async's connection, which does not block.

use std::pin::pin;

use diesel::QueryResult;
use diesel::connection::TransactionManagerStatus;
use diesel::deserialize::FromSqlRow;
use diesel::dsl::select;
use diesel::expression::{IntoSql as _, QueryMetadata};
use diesel::pg::Pg;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::result::Error::DeserializationError;
use diesel::row::Row;
use diesel::sql_types::Bool;
use diesel_async::{AnsiTransactionManager, AsyncConnectionCore, AsyncPgConnection, TransactionManager as _};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};

use super::BEGIN;
use super::run_query::RunQuery;
use crate::database::{Liveness, QueryFuture, Transactions};

impl RunQuery for AsyncPgConnection {
    fn execute<Q>(&mut self, query: Q) -> impl QueryFuture<usize>
    where
        Q: QueryFragment<Pg> + QueryId + Send,
    {
        self.execute_returning_count(query)
    }

    fn row<R, Q>(&mut self, query: Q) -> impl QueryFuture<Option<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        row(self.load(query))
    }

    fn rows<R, Q>(&mut self, query: Q) -> impl QueryFuture<Vec<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        rows(self.load(query))
    }
}

/// Returns the first row of a query. The query is serialized before this call, so it takes no room in the future.
pub(crate) fn row<R, T, W, S>(rows: impl QueryFuture<S>) -> impl QueryFuture<Option<R>>
where
    S: Stream<Item = QueryResult<W>> + Send,
    W: for<'r> Row<'r, Pg> + Send,
    R: FromSqlRow<T, Pg> + Send,
{
    async move {
        let row = pin!(rows.await?).next().await.transpose()?;
        row.map(|row| R::build_from_row(&row)).transpose().map_err(DeserializationError)
    }
}

/// Returns all rows of a query.
pub(crate) fn rows<R, T, W, S>(rows: impl QueryFuture<S>) -> impl QueryFuture<Vec<R>>
where
    S: Stream<Item = QueryResult<W>> + Send,
    W: for<'r> Row<'r, Pg> + Send,
    R: FromSqlRow<T, Pg> + Send,
{
    async move {
        let rows = rows.await?.map(|row| R::build_from_row(&row?).map_err(DeserializationError));
        rows.try_collect().await
    }
}

impl Transactions for AsyncPgConnection {
    async fn begin(&mut self) -> QueryResult<()> {
        if status(self).transaction_depth()?.is_some() {
            AnsiTransactionManager::begin_transaction(self).await
        } else {
            AnsiTransactionManager::begin_transaction_sql(self, BEGIN).await
        }
    }

    async fn commit(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::commit_transaction(self).await
    }

    async fn roll_back(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::rollback_transaction(self).await
    }
}

impl Liveness for AsyncPgConnection {
    const REMOTE: bool = true;

    fn is_in_transaction(&mut self) -> bool {
        !matches!(status(self).transaction_depth(), Ok(None))
    }

    async fn ping(&mut self) -> QueryResult<()> {
        self.execute(select(true.into_sql::<Bool>())).await.map(drop)
    }

    fn give_up(&mut self) {
        status(self).set_in_error();
    }
}

fn status(conn: &mut AsyncPgConnection) -> &mut TransactionManagerStatus {
    AnsiTransactionManager::transaction_manager_status_mut(conn)
}
