//! Migrations on PostgreSQL.
//!
//! A role that may create functions in a schema of the `search_path` must not be able to have them called here
//! (CVE-2018-1058). So every function is called as `pg_catalog.name`, every operator gets the types that it is declared
//! for, and the migrations run with a `search_path` of one schema.

use diesel::connection::{DefaultLoadingMode, LoadConnection, TransactionManager as _};
use diesel::migration::{MigrationConnection, MigrationSource as _};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_query;
#[cfg(feature = "diesel-async")]
use diesel_async::{AsyncConnection, async_connection_wrapper::AsyncConnectionWrapper};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use self::lock::lock_table;
use self::original::check_shape;
use self::owners::Present;
use self::place::{Place, inside};
use self::settings::{says, set_local, with_setting};
use crate::database::Migrate;
use crate::database::record::{CREATE_RECORD, Recorded, failed, harness, versions};
#[cfg(feature = "postgres")]
use crate::error::Error;
use crate::error::MigrationError;
use crate::key::KeyStorage;
use crate::table::SessionTable;

mod lock;
mod original;
mod owners;
mod place;
mod settings;

/// The migrations for PostgreSQL, for hosts that run them with a harness of their own.
///
/// Then the record is the host's too, and [`migrate`](crate::migrations::migrate), [`check`](crate::migrations::check)
/// and [`revert`](crate::migrations::revert) know nothing of it: do not mix them. Nor does anything look at an existing
/// `session` table: it is taken for the one of OCaml's `session-postgresql`, and its keys stay in clear.
pub const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// A connection to PostgreSQL that blocks, or is made to.
pub trait BlocksOnPostgres:
    Connection<Backend = Pg> + LoadConnection<DefaultLoadingMode, Backend = Pg> + MigrationConnection + 'static
{
}

#[cfg(feature = "postgres")]
impl BlocksOnPostgres for PgConnection {}

#[cfg(feature = "diesel-async")]
impl<C: AsyncConnection<Backend = Pg> + 'static> BlocksOnPostgres for AsyncConnectionWrapper<C> {}

harness!([C: BlocksOnPostgres] C, Pg);

/// Hashes the keys of a session table and brings it to this version's form: [`SessionTable::adopt`] for the table that
/// the connection finds.
///
/// # Errors
///
/// The same.
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
    SessionTable::new().adopt(conn)
}

#[cfg(feature = "postgres")]
impl SessionTable {
    /// Brings the session table of OCaml's `session-postgresql` to this version's form, as [`migrate`](Self::migrate)
    /// does, and hashes every key in it that is not hashed yet. Returns how many keys that were.
    ///
    /// This cannot be undone: afterwards no OCaml service finds a session in this table. Every visitor's cookie works
    /// with [`KeyStorage::Hashed`]. The key storage of this value does not count. It is one transaction, which locks the
    /// table: a million sessions took some twenty seconds. A table that was shared with [`KeyStorage::Plain`] can be
    /// adopted in the same way. A table that Citus distributes cannot, because its keys cannot change.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], as for [`migrate`](Self::migrate), and then nothing was changed.
    pub fn adopt(&self, conn: &mut PgConnection) -> Result<usize, Error> {
        let table = self.clone().key_storage(KeyStorage::Hashed);
        table.check_schema::<PgConnection>()?;
        // Hashed first: what an older table lacks is then added, and its indexes made, on clean pages.
        let hashed = alone(conn, &table, |conn, place| {
            let has_table = prepare(conn, place, &table)?;
            let hashed = if has_table {
                sql_query(DELETE_TOMBSTONES).execute(conn)?;
                sql_query(HASH_KEYS).execute(conn)?
            } else {
                0
            };
            run_pending(conn, &table, has_table)?;
            Ok(hashed)
        })?;
        Ok(hashed)
    }
}

/// Gives plain keys the form that `StoredKey` gives a hashed one.
#[cfg(feature = "postgres")]
const HASH_KEYS: &str = "UPDATE session SET session_key = '$' || pg_catalog.left(pg_catalog.encode( \
       pg_catalog.sha256(pg_catalog.convert_to(session_key::text, 'UTF8'::name)), 'base64'::text), 39) \
     WHERE pg_catalog.left(session_key::text, 1) <> '$'";

/// The tombstones of a table that adoption hashes name keys in clear.
#[cfg(feature = "postgres")]
const DELETE_TOMBSTONES: &str = "DELETE FROM session WHERE pg_catalog.left(session_key::text, 1) = '!'";

impl<C: BlocksOnPostgres> Migrate for C {
    const HAS_SCHEMAS: bool = true;

    fn migrate_table(&mut self, table: &SessionTable) -> Result<usize, MigrationError> {
        let is_up_to_date = inside(self, table, |conn, place| {
            let present = place.check_for_migrate(conn, table)?;
            let is_up_to_date = missing(conn, present)?.is_empty();
            if is_up_to_date {
                check_keys(conn, present, table.key_storage)?;
            }
            Ok(is_up_to_date)
        })?;
        if is_up_to_date {
            return Ok(0);
        }
        alone(self, table, |conn, place| {
            let has_table = prepare(conn, place, table)?;
            run_pending(conn, table, has_table)
        })
    }

    fn check_table(&mut self, table: &SessionTable) -> Result<(), MigrationError> {
        inside(self, table, |conn, place| {
            let present = place.check_for_use(conn, table)?;
            let versions = missing(conn, present)?;
            if versions.is_empty() {
                check_keys(conn, present, table.key_storage)
            } else {
                Err(MigrationError::Missing { versions })
            }
        })
    }

    fn find_table(&mut self, table: &SessionTable) -> Result<(), MigrationError> {
        Place::of(self, table)?.check_found()
    }

    fn revert_newest(&mut self, table: &SessionTable) -> Result<String, MigrationError> {
        alone(self, table, |conn, place| {
            let present = place.check_for_revert(conn, table)?;
            if !present.record {
                return Err(failed("no migration was run".into()));
            }
            if present.table {
                lock_table(conn)?;
            }
            let version = Recorded(conn).revert_last_migration(POSTGRES).map_err(failed)?;
            Ok(version.to_string())
        })
    }
}

/// "diesses" in ASCII: the advisory lock of every process that changes the session table.
const LOCK: i64 = 0x0064_6965_7373_6573;

fn missing<C: BlocksOnPostgres>(conn: &mut C, present: Present) -> Result<Vec<String>, MigrationError> {
    let pending =
        if present.record { Recorded(conn).pending_migrations(POSTGRES) } else { POSTGRES.migrations() };
    Ok(versions(pending.map_err(failed)?))
}

/// Refuses a table that is gone, or that holds keys which the storage would never find.
fn check_keys<C: BlocksOnPostgres>(
    conn: &mut C,
    present: Present,
    storage: KeyStorage,
) -> Result<(), MigrationError> {
    if !present.table {
        return Err(MigrationError::TableDropped);
    }
    match storage {
        KeyStorage::Plain => {
            // It reads the whole table if no key is hashed: the table's size says for how long.
            let hashed = with_setting(conn, "statement_timeout", "0", |conn| {
                says(conn, "EXISTS (SELECT FROM session WHERE pg_catalog.left(session_key::text, 1) = '$')")
            })?;
            if hashed { Err(MigrationError::HashedKeys) } else { Ok(()) }
        }
        KeyStorage::Hashed => {
            let plain = "SELECT pg_catalog.bool_and(pg_catalog.left(session_key::text, 1) <> '$') \
                 FROM (SELECT session_key FROM session \
                       WHERE pg_catalog.left(session_key::text, 1) <> '!' LIMIT 100) AS first";
            let plain = says(conn, &format!("coalesce(({plain}), false)"))?;
            if plain { Err(MigrationError::PlainKeys) } else { Ok(()) }
        }
    }
}

/// Runs `work` inside the table's schema in one transaction, one process at a time. A separate statement takes the lock,
/// under READ COMMITTED, so that `work` sees what the process before it did.
fn alone<C: BlocksOnPostgres, T>(
    conn: &mut C,
    table: &SessionTable,
    work: impl FnOnce(&mut C, &Place) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    // The transaction may be the caller's, and go on with the caller's settings.
    let locked = |conn: &mut C| {
        // Another process may adopt a table, which takes as long as the table is large.
        with_setting(conn, "lock_timeout", "0", |conn| {
            sql_query(format!("SELECT pg_catalog.pg_advisory_xact_lock({LOCK}::bigint)")).execute(conn)
        })?;
        with_setting(conn, "lock_timeout", "5s", |conn| inside(conn, table, work))
    };
    let in_any_time = |conn: &mut C| {
        with_setting(conn, "statement_timeout", "0", |conn| {
            // Between two attempts at the table's lock the transaction is idle.
            with_setting(conn, "idle_in_transaction_session_timeout", "0", locked)
        })
    };
    let depth = C::TransactionManager::transaction_manager_status_mut(conn).transaction_depth()?;
    conn.transaction(|conn| {
        if depth.is_none() {
            sql_query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED").execute(conn)?;
        }
        in_any_time(conn)
    })
}

fn run_pending<C: BlocksOnPostgres>(
    conn: &mut C,
    table: &SessionTable,
    has_table: bool,
) -> Result<usize, MigrationError> {
    if has_table {
        check_keys(conn, Present { table: true, record: true }, table.key_storage)?;
    }
    Ok(Recorded(conn).run_pending_migrations(POSTGRES).map_err(failed)?.len())
}

/// Makes the schema and the record if they are missing, and locks the table against everybody, so that it stays as it
/// was found; returns whether there is one. Nothing is read or written before its owner was looked at.
fn prepare<C: BlocksOnPostgres>(
    conn: &mut C,
    place: &Place,
    table: &SessionTable,
) -> Result<bool, MigrationError> {
    let present = place.check_for_migrate(conn, table)?;
    place.make_schema(conn)?;
    if !present.record {
        // Not `IF NOT EXISTS`: another role may make one of its own at this moment.
        sql_query(CREATE_RECORD).execute(conn)?;
    }
    if !present.table {
        // Read by up.sql, for the same reason.
        set_local(conn, "diesel_session.table", "missing")?;
        return Ok(false);
    }
    set_local(conn, "diesel_session.table", "checked")?;
    lock_table(conn)?;
    // It may have got another owner before the lock was had.
    place.check_for_migrate(conn, table)?;
    // A table that we did not make must be that of `session-postgresql`.
    if Recorded(conn).applied_migrations().map_err(failed)?.is_empty() {
        check_shape(conn)?;
    }
    Ok(true)
}
