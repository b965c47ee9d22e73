//! The table of tower-sessions-sqlx-store.

use diesel::connection::SimpleConnection as _;
use diesel::dsl::sql_query;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, PooledConnection};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use crate::arguments::{DatabaseArguments, Import};
use crate::database::{Database, Needs, Target};
use crate::failure::Failure;
use crate::inspect::Inspect;
use crate::screen::harmless;

/// Bytes of the largest record that is read. A record can be smaller than its JSON, and larger. Ours has at most 1 MiB.
const LARGEST: i64 = 4 << 20;

/// A row of the table.
#[derive(QueryableByName)]
pub(super) struct OldRow {
    #[diesel(sql_type = Text)]
    pub(super) id: String,
    /// The encoded record. `None` if it is too large.
    #[diesel(sql_type = Nullable<Binary>)]
    pub(super) data: Option<Vec<u8>>,
}

/// The table, on a database of any kind.
pub(super) trait Source {
    fn count(&mut self) -> Result<u64, Failure>;

    /// Returns at most `limit` rows: those that come after this id.
    fn rows(&mut self, after: &str, limit: i64) -> Result<Vec<OldRow>, Failure>;
}

/// Connects to the other store's database, and looks at the table.
pub(super) fn open(database: &DatabaseArguments, import: &Import) -> Result<Box<dyn Source>, Failure> {
    let url = import.source_url.as_ref().filter(|url| !url.is_empty()).or(database.database_url.as_ref());
    let source = DatabaseArguments {
        database_url: url.cloned(),
        schema: None,
        plain_keys: false,
        table_owner: None,
        timeout: database.timeout,
        pgbouncer: database.pgbouncer,
    };
    let (schema, table) = (import.source_schema.as_deref(), import.source_table.as_deref());
    let connected =
        Database::connect(&source, Needs::default()).map_err(|failure| match &import.source_url {
            Some(_) => Failure::refused(format!("the other store's database, --source-url: {failure}")),
            None => failure,
        })?;
    Ok(match connected {
        #[cfg(feature = "postgres")]
        Database::Postgres(target) => {
            let (schema, table) = (schema.unwrap_or("tower_sessions"), table.unwrap_or("session"));
            Box::new(Table::of(&target, format!("{}.{}", quoted(schema), quoted(table)))?)
        }
        #[cfg(feature = "sqlite")]
        Database::Sqlite(_) if schema.is_some() => {
            return Err(Failure::refused("--source-schema is for PostgreSQL only: leave it out"));
        }
        #[cfg(feature = "sqlite")]
        Database::Sqlite(target) => Box::new(Table::of(&target, quoted(table.unwrap_or("tower_sessions")))?),
    })
}

/// Returns an identifier of SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

struct Table<C: Inspect> {
    conn: PooledConnection<ConnectionManager<C>>,
    /// The name in SQL.
    name: String,
}

impl<C: Inspect> Table<C> {
    /// Returns the table, if it can be read.
    fn of(target: &Target<C>, name: String) -> Result<Self, Failure> {
        let mut conn = target.connection()?;
        // In SQLite a missing column in double quotes would be a text.
        conn.batch_execute(&format!("SELECT t.id, t.data FROM {name} AS t LIMIT 0")).map_err(|error| {
            Failure::refused(format!(
                "{} is no table of tower-sessions-sqlx-store that this role can read ({error}): \
                 say where it is with --source-url, --source-schema and --source-table",
                harmless(&name)
            ))
        })?;
        Ok(Self { conn, name })
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    records: i64,
}

/// Reads the table on this connection. The statements are the same for each, but a query is checked for its database.
macro_rules! source_on {
    ($connection:ty) => {
        impl Source for Table<$connection> {
            fn count(&mut self) -> Result<u64, Failure> {
                let count = sql_query(format!("SELECT count(*) AS records FROM {}", self.name));
                Ok(count.get_result::<Count>(&mut self.conn)?.records.unsigned_abs())
            }

            fn rows(&mut self, after: &str, limit: i64) -> Result<Vec<OldRow>, Failure> {
                let rows = sql_query(format!(
                    "SELECT id, CASE WHEN length(data) <= {LARGEST} THEN data END AS data FROM {} \
                     WHERE id > $1 ORDER BY id LIMIT $2",
                    self.name
                ));
                Ok(rows.bind::<Text, _>(after).bind::<BigInt, _>(limit).load(&mut self.conn)?)
            }
        }
    };
}

#[cfg(feature = "postgres")]
source_on!(PgConnection);
#[cfg(feature = "sqlite")]
source_on!(SqliteConnection);
