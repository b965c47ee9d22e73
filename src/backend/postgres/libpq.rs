//! Diesel's own connection, which blocks.

use std::future::ready;

use diesel::connection::{DefaultLoadingMode, LoadConnection};
use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::result::Error::DeserializationError;

use super::BEGIN;
use super::run::Run;
use crate::backend::blocking::Blocks;
use crate::backend::{Answer, SessionConnection};

impl SessionConnection for PgConnection {}

impl Blocks for PgConnection {
    const BEGIN: &'static str = BEGIN;
}

impl Run for PgConnection {
    fn execute<Q>(&mut self, query: Q) -> impl Answer<usize>
    where
        Q: QueryFragment<Pg> + QueryId + Send,
    {
        ready(self.execute_returning_count(&query))
    }

    fn row<R, Q>(&mut self, query: Q) -> impl Answer<Option<R>>
    where
        Q: Query + QueryFragment<Pg> + QueryId + Send,
        R: FromSqlRow<Q::SqlType, Pg> + Send + 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        ready(rows(self, query).and_then(|mut rows| rows.next().transpose()))
    }

    fn rows<R, Q>(&mut self, query: Q) -> impl Answer<Vec<R>>
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
