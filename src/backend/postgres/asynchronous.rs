//! The connection of diesel-async, which does not block.

use diesel::QueryResult;
use diesel::connection::TransactionManagerStatus;
use diesel::deserialize::FromSqlRow;
use diesel::dsl::select;
use diesel::expression::{IntoSql as _, QueryMetadata};
use diesel::pg::Pg;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::result::Error::DeserializationError;
use diesel::sql_types::Bool;
use diesel_async::{AnsiTransactionManager, AsyncConnectionCore, AsyncPgConnection, TransactionManager as _};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};

use super::BEGIN;
use super::run::Run;
use crate::backend::{Link, Transactions};

impl Run for AsyncPgConnection {
    async fn execute<Q>(&mut self, query: Q) -> QueryResult<usize>
    where
        Q: QueryFragment<Pg> + QueryId + Send,
    {
        self.execute_returning_count(query).await
    }

    async fn row<R, Q>(&mut self, query: Q) -> QueryResult<Option<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        rows(self, query).await?.try_next().await
    }

    async fn rows<R, Q>(&mut self, query: Q) -> QueryResult<Vec<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        rows(self, query).await?.try_collect().await
    }
}

/// The rows of a query, one by one.
pub(crate) async fn rows<'a, R, Q, C>(
    conn: &'a mut C,
    query: Q,
) -> QueryResult<impl Stream<Item = QueryResult<R>> + Send + Unpin + use<'a, R, Q, C>>
where
    C: AsyncConnectionCore<Backend = Pg>,
    Q: Query + QueryFragment<Pg> + QueryId + Send + 'a,
    R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
    Pg: QueryMetadata<Q::SqlType>,
{
    let rows = Box::pin(conn.load(query).await?);
    Ok(rows.map(|row| R::build_from_row(&row?).map_err(DeserializationError)))
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

impl Link for AsyncPgConnection {
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
