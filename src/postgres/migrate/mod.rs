//! Migrations on PostgreSQL.
//!
//! A role that may create functions in a schema of the `search_path` must not be able to have them called here
//! (CVE-2018-1058). So every function is called as `pg_catalog.name`. Every operator gets exactly the types that it is
//! declared for. The migrations run with a `search_path` of one schema.

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

/// The migrations for PostgreSQL, for applications that run them with their own harness.
///
/// Then the application also keeps the record, and [`migrate`](crate::migrations::migrate),
/// [`check`](crate::migrations::check) and [`revert`](crate::migrations::revert) do not know it. So do not mix the two
/// ways. The migrations do not check an existing `session` table: they treat it as that of OCaml's
/// `session-postgresql`, and its keys stay in clear.
pub const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// A connection to PostgreSQL that blocks, or a wrapper that blocks around one that does not.
pub trait BlocksOnPostgres:
    Connection<Backend = Pg> + LoadConnection<DefaultLoadingMode, Backend = Pg> + MigrationConnection + 'static
{
}

#[cfg(feature = "postgres")]
impl BlocksOnPostgres for PgConnection {}

#[cfg(feature = "diesel-async")]
impl<C: AsyncConnection<Backend = Pg> + 'static> BlocksOnPostgres for AsyncConnectionWrapper<C> {}

harness!([C: BlocksOnPostgres] C, Pg);

/// Hashes the keys of the session table that the connection finds, and brings it to this version's form, as
/// [`SessionTable::adopt`] does.
///
/// # Errors
///
/// As for [`SessionTable::adopt`].
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
    /// does. Hashes every key in it that is not hashed yet, and returns how many keys that were.
    ///
    /// You cannot undo this: afterwards no OCaml service finds a session in this table. Every visitor's cookie still
    /// works with [`KeyStorage::Hashed`]. The method ignores the key storage of this `SessionTable`. It runs in one
    /// transaction, which locks the table: a million sessions took about twenty seconds. You can also adopt a table
    /// that was shared with [`KeyStorage::Plain`]. You cannot adopt a table that Citus distributes, because its keys
    /// cannot change.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], as for [`migrate`](Self::migrate). Nothing was changed then.
    pub fn adopt(&self, conn: &mut PgConnection) -> Result<usize, Error> {
        let table = self.clone().key_storage(KeyStorage::Hashed);
        table.check_schema::<PgConnection>()?;
        // The keys are hashed first. The migrations then add columns and build indexes on clean pages.
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

/// Brings keys in clear to the form that `StoredKey` gives a hashed key.
#[cfg(feature = "postgres")]
const HASH_KEYS: &str = "UPDATE session SET session_key = '$' || pg_catalog.left(pg_catalog.encode( \
       pg_catalog.sha256(pg_catalog.convert_to(session_key::text, 'UTF8'::name)), 'base64'::text), 39) \
     WHERE pg_catalog.left(session_key::text, 1) NOT IN ('$', '!')";

/// Deletes the tombstones of a table before its keys are hashed, because they name keys in clear. Import markers stay: they
/// are the same for each form of the keys.
#[cfg(feature = "postgres")]
const DELETE_TOMBSTONES: &str =
    "DELETE FROM session WHERE pg_catalog.left(session_key::text, 8) = '!renewed'";

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

    fn find_table(&mut self, table: &SessionTable, _largest: usize) -> Result<(), MigrationError> {
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

/// The number of the advisory lock of every process that changes the session table: "diesses" in ASCII.
const LOCK: i64 = 0x0064_6965_7373_6573;

fn missing<C: BlocksOnPostgres>(conn: &mut C, present: Present) -> Result<Vec<String>, MigrationError> {
    let pending =
        if present.record { Recorded(conn).pending_migrations(POSTGRES) } else { POSTGRES.migrations() };
    Ok(versions(pending.map_err(failed)?))
}

/// Refuses a table that was dropped, or that holds keys which the key storage would never find.
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
            // If no key is hashed, this reads the whole table, for a time that depends on the table's size.
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

/// Runs `work` inside the table's schema in one transaction, in one process at a time. A separate statement takes the
/// lock, under READ COMMITTED, so `work` sees what the process before it did.
fn alone<C: BlocksOnPostgres, T>(
    conn: &mut C,
    table: &SessionTable,
    work: impl FnOnce(&mut C, &Place) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    // The transaction may be the caller's. It then continues with the caller's settings.
    let locked = |conn: &mut C| {
        // Another process may be adopting a table. A larger table takes longer.
        with_setting(conn, "lock_timeout", "0", |conn| {
            sql_query(format!("SELECT pg_catalog.pg_advisory_xact_lock({LOCK}::bigint)")).execute(conn)
        })?;
        with_setting(conn, "lock_timeout", "5s", |conn| inside(conn, table, work))
    };
    let in_any_time = |conn: &mut C| {
        with_setting(conn, "statement_timeout", "0", |conn| {
            // The transaction is idle between two attempts to lock the table.
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

/// Creates the schema and the record if they are missing, and returns whether the table exists. Locks an existing table
/// in `ACCESS EXCLUSIVE` mode, so it stays as it was found. Checks the owner before it reads or writes anything.
fn prepare<C: BlocksOnPostgres>(
    conn: &mut C,
    place: &Place,
    table: &SessionTable,
) -> Result<bool, MigrationError> {
    let present = place.check_for_migrate(conn, table)?;
    place.make_schema(conn)?;
    if !present.record {
        // Without `IF NOT EXISTS`, because another role may create its own record at this moment.
        sql_query(CREATE_RECORD).execute(conn)?;
    }
    if !present.table {
        // up.sql reads this setting, for the same reason.
        set_local(conn, "diesel_session.table", "missing")?;
        return Ok(false);
    }
    set_local(conn, "diesel_session.table", "checked")?;
    lock_table(conn)?;
    // The owner may have changed before the lock was granted.
    place.check_for_migrate(conn, table)?;
    // A table that this crate did not create must be that of `session-postgresql`.
    if Recorded(conn).applied_migrations().map_err(failed)?.is_empty() {
        check_shape(conn)?;
    }
    Ok(true)
}
