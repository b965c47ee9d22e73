//! Queries on Diesel's own connection, which blocks.

use std::future::ready;

use diesel::connection::{CacheSize, DefaultLoadingMode, LoadConnection, SimpleConnection as _};
use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError};
use diesel::result::Error::DeserializationError;

use super::run_query::RunQuery;
use super::{BEGIN, set_up};
use crate::conninfo::ConnectOptions;
use crate::database::{BlockingConnection, QueryFuture, Remote, SessionConnection};
use crate::error::Error;
use crate::options::ConnectionSettings;

impl SessionConnection for PgConnection {}

impl Remote for PgConnection {}

impl BlockingConnection for PgConnection {
    const BEGIN: &'static str = BEGIN;
    const REMOTE: bool = true;

    fn address(url: &str, settings: &ConnectionSettings) -> Result<String, Error> {
        url.parse::<ConnectOptions>()?.address(settings)
    }

    fn is_private(_address: &str) -> bool {
        false
    }

    fn set_up(
        _address: &str,
        settings: &ConnectionSettings,
    ) -> Box<dyn CustomizeConnection<Self, ConnectionError>> {
        Box::new(SetUp(settings.clone()))
    }
}

#[derive(Debug)]
struct SetUp(ConnectionSettings);

impl CustomizeConnection<PgConnection, ConnectionError> for SetUp {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), ConnectionError> {
        if self.0.pgbouncer {
            // In transaction mode, another client may have this server connection by the next call, with its settings
            // and its named prepared statements.
            conn.set_prepared_statement_cache_size(CacheSize::Disabled);
        }
        let statements = set_up(&self.0);
        Ok(statements.iter().try_for_each(|statement| conn.batch_execute(statement))?)
    }
}

impl RunQuery for PgConnection {
    fn execute<Q>(&mut self, query: Q) -> impl QueryFuture<usize>
    where
        Q: QueryFragment<Pg> + QueryId + Send,
    {
        ready(self.execute_returning_count(&query))
    }

    fn row<R, Q>(&mut self, query: Q) -> impl QueryFuture<Option<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        ready(rows(self, query).and_then(|mut rows| rows.next().transpose()))
    }

    fn rows<R, Q>(&mut self, query: Q) -> impl QueryFuture<Vec<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        ready(rows(self, query).and_then(Iterator::collect))
    }
}

fn rows<'a, R, Q>(
    conn: &'a mut PgConnection,
    query: Q,
) -> QueryResult<impl Iterator<Item = QueryResult<R>> + 'a>
where
    Q: Query + QueryFragment<Pg> + QueryId + 'a,
    R: FromSqlRow<Q::SqlType, Pg>,
    Pg: QueryMetadata<Q::SqlType>,
{
    let rows = LoadConnection::<DefaultLoadingMode>::load(conn, query)?;
    Ok(rows.map(|row| R::build_from_row(&row?).map_err(DeserializationError)))
}
