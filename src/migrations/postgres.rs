//! Migrations on PostgreSQL, and the table of OCaml's `session-postgresql`.

use diesel::connection::{AnsiTransactionManager, TransactionManager as _};
use diesel::dsl::select;
use diesel::migration::MigrationSource as _;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_migrations::MigrationHarness as _;

use super::bookkeeping::{CREATE_RECORD, Recorded, versions};
use super::{POSTGRES, failed};
use crate::backend::Schema;
use crate::error::{Error, MigrationError};
use crate::key::KeyStorage;

/// Brings the session table of OCaml's `session-postgresql` to this version's form, as
/// [`migrate`](super::migrate) does, and hashes every key in it that is not hashed yet; returns how many
/// those were.
///
/// One way: afterwards no OCaml service finds a session in this table, and every visitor's cookie goes on
/// working with [`KeyStorage::Hashed`]. One transaction, which locks the table: to hash a million keys took
/// about seven seconds. A table that was shared with [`KeyStorage::Plain`] is turned into a hashed one just
/// so. Not for a table that Citus distributes, where keys cannot change.
///
/// # Errors
///
/// [`Error::Migration`], and then nothing was changed.
///
/// # Examples
///
/// ```no_run
/// use diesel::prelude::*;
/// use diesel_session::migrations;
///
/// let mut conn = PgConnection::establish("postgres:///shop").expect("the database is up");
/// let hashed = migrations::adopt(&mut conn)?;
/// println!("{hashed} sessions go on under hashed keys");
/// # Ok::<(), diesel_session::Error>(())
/// ```
pub fn adopt(conn: &mut PgConnection) -> Result<usize, Error> {
    let hashed = alone(conn, |conn| {
        run_pending(conn, ClearKeys::Accepted)?;
        // The form that `StoredKey` gives a key.
        let hash = "UPDATE session SET session_key = \
             '$' || left(encode(sha256(convert_to(session_key::text, 'UTF8')), 'base64'), 39) \
             WHERE left(session_key::text, 1) <> '$'";
        Ok(sql_query(hash).execute(conn)?)
    })?;
    Ok(hashed)
}

impl Schema for PgConnection {
    fn missing(&mut self) -> Result<Vec<String>, MigrationError> {
        let pending = if says(self, &format!("{} IS NOT NULL", here("__diesel_session_migrations")))? {
            Recorded(self).pending_migrations(POSTGRES)
        } else {
            POSTGRES.migrations()
        };
        Ok(versions(pending.map_err(failed)?))
    }

    fn run_missing(&mut self, storage: KeyStorage) -> Result<usize, MigrationError> {
        let clear_keys = match storage {
            KeyStorage::Plain => ClearKeys::Accepted,
            KeyStorage::Hashed => ClearKeys::Refused,
        };
        alone(self, |conn| run_pending(conn, clear_keys))
    }

    fn check_keys(&mut self, storage: KeyStorage) -> Result<(), MigrationError> {
        let hashed_keys = "EXISTS (SELECT FROM session WHERE left(session_key::text, 1) = '$')";
        if storage == KeyStorage::Plain && says(self, hashed_keys)? {
            return Err(MigrationError::HashedKeys);
        }
        Ok(())
    }

    fn revert_newest(&mut self) -> Result<String, MigrationError> {
        alone(self, |conn| {
            let version = Recorded(conn).revert_last_migration(POSTGRES).map_err(failed)?;
            Ok(version.to_string())
        })
    }
}

#[diesel::declare_sql_function]
extern "SQL" {
    fn pg_advisory_xact_lock(key: BigInt) -> Bool;
}

/// "diesses" in ASCII: the advisory lock of whoever changes the session table.
const LOCK: i64 = 0x0064_6965_7373_6573;

/// Runs `work` in one transaction, one process at a time. The lock is taken by a statement of its own,
/// under READ COMMITTED: so `work` sees what the process before it did.
fn alone<T>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    let locked = |conn: &mut PgConnection| {
        // Whoever waits here waits for an adoption, which takes as long as the table is large.
        sql_query("SET LOCAL statement_timeout = 0").execute(conn)?;
        sql_query("SET LOCAL lock_timeout = 0").execute(conn)?;
        select(pg_advisory_xact_lock(LOCK)).execute(conn)?;
        // Whoever waits for a lock on the table holds up everyone who comes after.
        sql_query("SET LOCAL lock_timeout = '5s'").execute(conn)?;
        sql_query(CREATE_RECORD).execute(conn)?;
        work(conn)
    };
    if matches!(AnsiTransactionManager::transaction_manager_status_mut(conn).transaction_depth(), Ok(None)) {
        conn.build_transaction().read_committed().run(locked)
    } else {
        conn.transaction(locked)
    }
}

/// Whether the keys in a table of the original may stay as they are.
#[derive(Clone, Copy, PartialEq)]
enum ClearKeys {
    Accepted,
    Refused,
}

fn run_pending(conn: &mut PgConnection, clear_keys: ClearKeys) -> Result<usize, MigrationError> {
    let mut recorded = Recorded(conn);
    let made_by_us = !recorded.applied_migrations().map_err(failed)?.is_empty();
    if !made_by_us && says(conn, &format!("{} IS NOT NULL", here("session")))? {
        check_shape(conn)?;
        if clear_keys == ClearKeys::Refused && says(conn, "EXISTS (SELECT FROM session)")? {
            return Err(MigrationError::ClearKeys);
        }
    }
    Ok(Recorded(conn).run_pending_migrations(POSTGRES).map_err(failed)?.len())
}

/// Refuses whatever is called `session` and is not the table of the original.
fn check_shape(conn: &mut PgConnection) -> Result<(), MigrationError> {
    #[derive(QueryableByName)]
    struct Column {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        kind: String,
    }
    const THEIRS: [(&str, &str); 3] = [
        ("session_key", "character(40)"),
        ("expire_date", "timestamp(2) with time zone"),
        ("session_data", "text"),
    ];

    let refuse = |reason: String| Err(MigrationError::NotOurs { reason });
    let session = here("session");
    if !says(conn, &format!("EXISTS (SELECT FROM pg_class WHERE oid = {session} AND relkind IN ('r', 'p'))"))?
    {
        return refuse("it is no table".to_owned());
    }
    let columns: Vec<Column> = sql_query(format!(
        "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS kind FROM pg_attribute \
         WHERE attrelid = {session} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    ))
    .load(conn)?;
    for (name, kind) in THEIRS {
        if !columns.iter().any(|column| column.name == name && column.kind == kind) {
            return refuse(format!("it has no column {name} of type {kind}"));
        }
    }
    let known = |name: &str| name == "created_on" || THEIRS.iter().any(|(theirs, _)| *theirs == name);
    match columns.iter().find(|column| !known(&column.name)) {
        Some(stranger) => refuse(format!("it has a column {}", stranger.name)),
        None => Ok(()),
    }
}

/// The relation of that name in the schema where new tables go, as an SQL expression.
fn here(relation: &str) -> String {
    format!("to_regclass(quote_ident(current_schema()) || '.{relation}')")
}

/// The answer to a question in SQL.
fn says(conn: &mut PgConnection, question: &str) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        yes: bool,
    }
    sql_query(format!("SELECT {question} AS yes")).get_result(conn).map(|answer: Answer| answer.yes)
}
