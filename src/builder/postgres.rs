//! What a pool of our own on PostgreSQL has besides.

use super::Builder;
use crate::connect::Schema;

/// A connection to PostgreSQL.
pub trait OnPostgres {}

#[cfg(feature = "postgres")]
impl OnPostgres for diesel::PgConnection {}

#[cfg(feature = "diesel-async")]
impl OnPostgres for diesel_async::AsyncPgConnection {}

impl<C: OnPostgres> Builder<C> {
    /// The schema that holds the session table and the record of its migrations. `migrate` makes it
    /// where it is missing. Defaults to what the connections' `search_path` says.
    ///
    /// The connections of this store's pool look for tables in this schema and in no other: give your own tables'
    /// schema in your queries, or use a pool of your own for them. Stores in different schemas of one database do
    /// not see each other's sessions. Not together with `pgbouncer`: give the role a `search_path` there.
    pub fn schema(mut self, name: &str) -> Self {
        self.pool.connection.schema = Some(Schema::new(name));
        self
    }
}
