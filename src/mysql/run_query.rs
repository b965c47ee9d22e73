//! Runs typed queries. Every query of an operation passes through here, because a failed statement must not stay in
//! Diesel's cache. A failed ping or set-up ends its connection, and `migrate` empties the cache itself.

use diesel::connection::{CacheSize, DefaultLoadingMode, LoadConnection};
use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::mysql::{Mysql, MysqlConnection};
use diesel::prelude::*;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::result::DatabaseErrorKind::UniqueViolation;
use diesel::result::Error::{DatabaseError, DeserializationError};

pub(super) trait RunQuery {
    /// Runs a statement that returns no rows, and returns how many rows it found.
    fn run<Q>(&mut self, query: Q) -> QueryResult<usize>
    where
        Q: QueryFragment<Mysql> + QueryId;

    /// Runs a query, and returns all rows.
    fn rows<R, Q>(&mut self, query: Q) -> QueryResult<Vec<R>>
    where
        Q: Query + QueryFragment<Mysql> + QueryId,
        R: FromSqlRow<Q::SqlType, Mysql>,
        Mysql: QueryMetadata<Q::SqlType>;

    /// Runs a query, and returns its first row.
    fn row<R, Q>(&mut self, query: Q) -> QueryResult<Option<R>>
    where
        Q: Query + QueryFragment<Mysql> + QueryId,
        R: FromSqlRow<Q::SqlType, Mysql>,
        Mysql: QueryMetadata<Q::SqlType>,
    {
        Ok(self.rows(query)?.into_iter().next())
    }

    /// Runs a query that always has one row, and returns that row.
    fn only_row<R, Q>(&mut self, query: Q) -> QueryResult<R>
    where
        Q: Query + QueryFragment<Mysql> + QueryId,
        R: FromSqlRow<Q::SqlType, Mysql>,
        Mysql: QueryMetadata<Q::SqlType>,
    {
        self.row(query)?.ok_or(diesel::NotFound)
    }
}

impl RunQuery for MysqlConnection {
    fn run<Q>(&mut self, query: Q) -> QueryResult<usize>
    where
        Q: QueryFragment<Mysql> + QueryId,
    {
        let done = self.execute_returning_count(&query);
        cured(self, done)
    }

    fn rows<R, Q>(&mut self, query: Q) -> QueryResult<Vec<R>>
    where
        Q: Query + QueryFragment<Mysql> + QueryId,
        R: FromSqlRow<Q::SqlType, Mysql>,
        Mysql: QueryMetadata<Q::SqlType>,
    {
        let loaded = LoadConnection::<DefaultLoadingMode>::load(self, query).and_then(|rows| {
            rows.map(|row| R::build_from_row(&row?).map_err(DeserializationError)).collect()
        });
        cured(self, loaded)
    }
}

/// Returns the result. After an error it empties the cache of prepared statements. The text of an error about a key that
/// is taken contains the key, so it is removed.
fn cured<T>(conn: &mut MysqlConnection, result: QueryResult<T>) -> QueryResult<T> {
    result.map_err(|error| {
        forget_statements(conn);
        match error {
            DatabaseError(UniqueViolation, _) => {
                DatabaseError(UniqueViolation, Box::new("the key is taken".to_owned()))
            }
            other => other,
        }
    })
}

/// Empties the connection's cache of prepared statements. If a SELECT fails after the header of its result, the same
/// prepared statement waits without end when it runs again (Connector/C 3.3). With MySQL's own client library, any failed
/// statement returns its old error for ever.
pub(super) fn forget_statements(conn: &mut MysqlConnection) {
    conn.set_prepared_statement_cache_size(CacheSize::Disabled);
    conn.set_prepared_statement_cache_size(CacheSize::Unbounded);
}
