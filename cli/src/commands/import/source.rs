//! The table of tower-sessions-sqlx-store.

#![cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(unused, unreachable_code, reason = "no table of MariaDB is imported")
)]

use diesel::connection::SimpleConnection as _;
use diesel::dsl::sql_query;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, PooledConnection};
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};

use crate::arguments::{DatabaseArguments, Import};
use crate::database::{Database, Purpose, Target};
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
    /// By the column, and not by the encoded record, as in the other store.
    #[diesel(sql_type = Bool)]
    pub(super) has_expired: bool,
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
    let connected = Database::connect(&source, Purpose::Source)
        .map_err(|failure| Failure::refused(format!("the other store's database: {failure}")))?;
    let (schema, table) = (import.source_schema.as_deref(), import.source_table.as_deref());
    Ok(match connected {
        #[cfg(feature = "mysql")]
        Database::Mysql(_) => {
            return Err(Failure::refused("only tables on PostgreSQL and SQLite can be imported"));
        }
        #[cfg(feature = "postgres")]
        Database::Postgres(target) => {
            let (schema, table) = (schema.unwrap_or("tower_sessions"), table.unwrap_or("session"));
            let name = format!("{}.{}", quoted(schema), quoted(table));
            Box::new(Table::of(&target, name, "--source-url, --source-schema and --source-table")?)
        }
        #[cfg(feature = "sqlite")]
        Database::Sqlite(_) if schema.is_some() => {
            return Err(Failure::refused("--source-schema is for PostgreSQL only: leave it out"));
        }
        #[cfg(feature = "sqlite")]
        Database::Sqlite(target) => {
            let name = quoted(table.unwrap_or("tower_sessions"));
            Box::new(Table::of(&target, name, "--source-url and --source-table")?)
        }
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
    fn of(target: &Target<C>, name: String, options: &str) -> Result<Self, Failure> {
        let mut conn = target.connection()?;
        let columns = format!("SELECT t.id, t.data, t.expiry_date FROM {name} AS t LIMIT 0");
        conn.batch_execute(&columns).map_err(|error| {
            Failure::refused(format!(
                "{} cannot be read as the table of tower-sessions-sqlx-store ({error}): \
                 if that is elsewhere, say so with {options}",
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

/// Reads the table on this connection. `$has_expired` is a condition in SQL.
macro_rules! source_on {
    ($connection:ty, $has_expired:literal) => {
        impl Source for Table<$connection> {
            fn count(&mut self) -> Result<u64, Failure> {
                let count = sql_query(format!("SELECT count(*) AS records FROM {}", self.name));
                Ok(count.get_result::<Count>(&mut self.conn)?.records.unsigned_abs())
            }

            fn rows(&mut self, after: &str, limit: i64) -> Result<Vec<OldRow>, Failure> {
                let rows = sql_query(format!(
                    "SELECT id, {} AS has_expired, CASE WHEN length(data) <= {LARGEST} THEN data END AS data FROM {} \
                     WHERE id > $1 ORDER BY id LIMIT $2",
                    $has_expired, self.name
                ));
                Ok(rows.bind::<Text, _>(after).bind::<BigInt, _>(limit).load(&mut self.conn)?)
            }
        }
    };
}

#[cfg(feature = "postgres")]
source_on!(PgConnection, "expiry_date <= pg_catalog.statement_timestamp()");
#[cfg(feature = "sqlite")]
source_on!(SqliteConnection, "datetime(expiry_date) <= datetime('now')");
