//! Migrations on PostgreSQL, and the table of OCaml's `session-postgresql`.

use diesel::connection::TransactionManager as _;
use diesel::dsl::select;
use diesel::migration::MigrationSource as _;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_migrations::MigrationHarness as _;

use super::bookkeeping::{BlocksOnPostgres, CREATE_RECORD, Recorded, versions};
use super::{POSTGRES, failed};
use crate::backend::Migrate;
use crate::connect::Schema;
#[cfg(feature = "postgres")]
use crate::error::Error;
use crate::error::MigrationError;
use crate::key::KeyStorage;

/// Brings the session table of OCaml's `session-postgresql` to this version's form, as
/// [`migrate`](super::migrate) does, and hashes every key in it that is not hashed yet; returns how many
/// those were.
///
/// One way: afterwards no OCaml service finds a session in this table, and every visitor's cookie goes on
/// working with [`KeyStorage::Hashed`]. One transaction, which locks the table: a million sessions took some
/// twenty seconds. A table that was shared with [`KeyStorage::Plain`] is turned into a hashed one in the
/// same way. Not for a table that Citus distributes, where keys cannot change.
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
#[cfg(feature = "postgres")]
pub fn adopt(conn: &mut PgConnection) -> Result<usize, Error> {
    // Hashed first: what an older table lacks is then added, and its indexes made, on clean pages.
    let hashed = alone(conn, None, |conn| {
        let hashed = if lock_table(conn)? { sql_query(HASH_KEYS).execute(conn)? } else { 0 };
        run_pending(conn, KeyStorage::Hashed)?;
        Ok(hashed)
    })?;
    Ok(hashed)
}

/// Gives plain keys the form that `StoredKey` gives a hashed one.
#[cfg(feature = "postgres")]
const HASH_KEYS: &str = "UPDATE session SET session_key = \
     '$' || left(encode(sha256(convert_to(session_key::text, 'UTF8')), 'base64'), 39) \
     WHERE left(session_key::text, 1) <> '$'";

impl<C: BlocksOnPostgres> Migrate for C {
    fn missing(&mut self) -> Result<Vec<String>, MigrationError> {
        let pending = if says(self, HAS_RECORD)? {
            Recorded(self).pending_migrations(POSTGRES)
        } else {
            POSTGRES.migrations()
        };
        Ok(versions(pending.map_err(failed)?))
    }

    fn run_missing(&mut self, schema: Option<&Schema>, storage: KeyStorage) -> Result<usize, MigrationError> {
        alone(self, schema, |conn| run_pending(conn, storage))
    }

    fn check_table(&mut self, storage: KeyStorage) -> Result<(), MigrationError> {
        if !says(self, HAS_TABLE)? {
            return Err(MigrationError::TableDropped);
        }
        match storage {
            KeyStorage::Plain => {
                // No index finds it in every collation, so it takes as long as the table is large.
                let hashed = "EXISTS (SELECT FROM session WHERE left(session_key::text, 1) = '$')";
                let hashed = self.transaction(|conn: &mut C| {
                    let before = say(conn, "current_setting('statement_timeout')")?;
                    set_local(conn, "statement_timeout", "0")?;
                    let hashed = says(conn, hashed)?;
                    set_local(conn, "statement_timeout", &before)?;
                    QueryResult::Ok(hashed)
                })?;
                if hashed { Err(MigrationError::HashedKeys) } else { Ok(()) }
            }
            KeyStorage::Hashed => {
                let plain = "SELECT bool_and(left(session_key::text, 1) <> '$') \
                     FROM (SELECT session_key FROM session LIMIT 100) AS first";
                let plain = says(self, &format!("coalesce(({plain}), false)"))?;
                if plain { Err(MigrationError::PlainKeys) } else { Ok(()) }
            }
        }
    }

    fn revert_newest(&mut self) -> Result<String, MigrationError> {
        alone(self, None, |conn| {
            let version = Recorded(conn).revert_last_migration(POSTGRES).map_err(failed)?;
            Ok(version.to_string())
        })
    }
}

#[diesel::declare_sql_function]
extern "SQL" {
    fn pg_advisory_xact_lock(key: BigInt) -> Bool;
    fn to_regnamespace(name: Text) -> Nullable<Oid>;
}

/// "diesses" in ASCII: the advisory lock of whoever changes the session table.
const LOCK: i64 = 0x0064_6965_7373_6573;

const HAS_TABLE: &str = "to_regclass('session') IS NOT NULL";

/// The record is found as the session table is, along the `search_path`, and is the record of that table only
/// if it lies beside it.
const HAS_RECORD: &str = "EXISTS (SELECT FROM pg_class AS record \
     WHERE record.oid = to_regclass('__diesel_session_migrations') \
     AND (to_regclass('session') IS NULL OR record.relnamespace = \
          (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('session'))))";

/// Runs `work` in one transaction, one process at a time. The lock is taken by a statement of its own,
/// under READ COMMITTED: so `work` sees what the process before it did.
fn alone<C: BlocksOnPostgres, T>(
    conn: &mut C,
    schema: Option<&Schema>,
    work: impl FnOnce(&mut C) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    let locked = |conn: &mut C| {
        // The transaction may be the caller's, and go on with the caller's settings.
        let statement_timeout = say(conn, "current_setting('statement_timeout')")?;
        let lock_timeout = say(conn, "current_setting('lock_timeout')")?;
        // Whoever waits here waits for an adoption, which takes as long as the table is large.
        set_local(conn, "statement_timeout", "0")?;
        set_local(conn, "lock_timeout", "0")?;
        select(pg_advisory_xact_lock(LOCK)).execute(conn)?;
        // Whoever waits for a lock on the table holds up everyone who comes after.
        set_local(conn, "lock_timeout", "5s")?;
        if let Some(schema) = schema {
            make_schema(conn, schema)?;
        }
        if !says(conn, HAS_RECORD)? {
            sql_query(CREATE_RECORD).execute(conn)?;
        }
        let done = work(conn)?;
        set_local(conn, "statement_timeout", &statement_timeout)?;
        set_local(conn, "lock_timeout", &lock_timeout)?;
        Ok(done)
    };
    let depth = C::TransactionManager::transaction_manager_status_mut(conn).transaction_depth()?;
    conn.transaction(|conn| {
        if depth.is_none() {
            sql_query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED").execute(conn)?;
        }
        locked(conn)
    })
}

fn run_pending<C: BlocksOnPostgres>(conn: &mut C, storage: KeyStorage) -> Result<usize, MigrationError> {
    if lock_table(conn)? {
        conn.check_table(storage)?;
    }
    Ok(Recorded(conn).run_pending_migrations(POSTGRES).map_err(failed)?.len())
}

/// Locks the table against everybody, if there is one, so that nothing comes between a look and what follows
/// from it. A table that we did not make must be that of `session-postgresql`.
fn lock_table<C: BlocksOnPostgres>(conn: &mut C) -> Result<bool, MigrationError> {
    if !says(conn, HAS_TABLE)? {
        return Ok(false);
    }
    if Recorded(conn).applied_migrations().map_err(failed)?.is_empty() {
        check_shape(conn)?;
    }
    sql_query("LOCK TABLE session IN ACCESS EXCLUSIVE MODE").execute(conn)?;
    Ok(true)
}

/// Refuses whatever is called `session` and is not the table of `session-postgresql`.
fn check_shape<C: BlocksOnPostgres>(conn: &mut C) -> Result<(), MigrationError> {
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
    let place = "SELECT relnamespace::regnamespace::text || ' ' || relkind::text FROM pg_class WHERE oid = 'session'::regclass";
    let place = say(conn, &format!("({place})"))?;
    let here = say(conn, "quote_ident(current_schema())")?;
    match place.rsplit_once(' ') {
        Some((schema, "r")) if schema == here => {}
        Some((schema, "r")) => {
            return refuse(format!("it is in schema {schema}, and new tables go to schema {here}"));
        }
        Some((_, "p")) => {
            return refuse("it is partitioned, which can only be done after the migrations".to_owned());
        }
        _ => return refuse("it is no table".to_owned()),
    }
    let columns: Vec<Column> = sql_query(
        "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS kind FROM pg_attribute \
         WHERE attrelid = 'session'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    )
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

/// Asks first, since `CREATE SCHEMA IF NOT EXISTS` is refused to whoever may not create one, needed or not.
fn make_schema<C: BlocksOnPostgres>(conn: &mut C, schema: &Schema) -> QueryResult<()> {
    let name = schema.quoted();
    if select(to_regnamespace(&name).is_not_null()).get_result(conn)? {
        return Ok(());
    }
    sql_query(format!("CREATE SCHEMA {name}")).execute(conn).map(drop)
}

/// The answer to a question in SQL.
fn says<C: BlocksOnPostgres>(conn: &mut C, question: &str) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        yes: bool,
    }
    sql_query(format!("SELECT {question} AS yes")).get_result(conn).map(|answer: Answer| answer.yes)
}

/// The text that an SQL expression has.
fn say<C: BlocksOnPostgres>(conn: &mut C, expression: &str) -> QueryResult<String> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Text)]
        text: String,
    }
    sql_query(format!("SELECT {expression} AS text")).get_result(conn).map(|answer: Answer| answer.text)
}

/// Changes a setting for the rest of the transaction.
fn set_local<C: BlocksOnPostgres>(conn: &mut C, setting: &str, value: &str) -> QueryResult<()> {
    sql_query(format!("SET LOCAL {setting} = '{value}'")).execute(conn).map(drop)
}
