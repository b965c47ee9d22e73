//! Migrations on MariaDB. Each DDL statement commits, so none of them runs in a transaction, and each can run again.

use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::dsl::{exists, select, sql};
use diesel::migration::MigrationSource as _;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use super::expressions::{concat, database, get_lock, is_table, md5, release_lock};
use super::owners::LAST_OWNER_SLOT;
use super::run_query::{RunQuery as _, forget_statements};
use super::table::{session, session_owner_lock, tables};
use crate::database::key::KeyParameter;
use crate::database::record::{Recorded, failed, harness, versions};
use crate::database::{Liveness as _, Migrate};
use crate::error::MigrationError;
use crate::key::{KeyStorage, StoredKey};
use crate::table::SessionTable;

/// The migrations for MariaDB, for applications that run them with their own harness: see `POSTGRES`. Diesel's harness
/// does not keep several processes from running them at once.
pub const MYSQL: EmbeddedMigrations = embed_migrations!("migrations/mysql");

harness!([] MysqlConnection, Mysql);

/// As on the other databases, but an indexed text needs a length.
const CREATE_RECORD: &str = "CREATE TABLE IF NOT EXISTS __diesel_session_migrations (\
     version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)";

/// Each statement makes only what is missing.
const LOCK_ROWS: &str = include_str!("../../migrations/mysql/2026-11-28-000001_session/up.sql");

/// The comment of a table that this crate has made.
const OURS: &str = "Made by diesel-session.";

/// How long one process waits for the migrations of another, in seconds.
const PATIENCE: u16 = 60;

impl Migrate for MysqlConnection {
    const HAS_SCHEMAS: bool = false;

    fn migrate_table(&mut self, table: &SessionTable) -> Result<usize, MigrationError> {
        if missing(self)?.is_empty() {
            check_keys(self, table.key_storage)?;
            if has_lock_rows(self)? {
                return Ok(0);
            }
        }
        alone(self, |conn| {
            // A table of ours without a record is the rest of a run that was interrupted.
            if has_table(conn, "session")? && !is_ours(conn)? {
                let reason = "this crate has not created it".to_owned();
                let advice = "rename it, or keep the sessions in another database";
                return Err(MigrationError::NotOurs { reason, advice });
            }
            sql_query(CREATE_RECORD).execute(conn)?;
            let run = Recorded(conn).run_pending_migrations(MYSQL).map_err(failed)?.len();
            if !has_lock_rows(conn)? {
                conn.batch_execute(LOCK_ROWS)?;
            }
            Ok(run)
        })
    }

    fn check_table(&mut self, table: &SessionTable) -> Result<(), MigrationError> {
        let versions = missing(self)?;
        if !versions.is_empty() {
            return Err(MigrationError::Missing { versions });
        }
        check_keys(self, table.key_storage)?;
        if has_lock_rows(self)? { Ok(()) } else { Err(MigrationError::LockRowsLost) }
    }

    /// A connection has one database, and the table is there. A packet that is too large would look like a lost
    /// connection.
    fn find_table(&mut self, _table: &SessionTable, largest: usize) -> Result<(), MigrationError> {
        /// For the rest of a statement, in bytes.
        const REST: u64 = 64 << 10;
        /// For the keys of the largest sweep, and for an import's rows, in bytes.
        const LEAST: u64 = 1 << 20;
        let limit: i64 = self.only_row(select(sql::<BigInt>("@@max_allowed_packet")))?;
        // Some statements have two values: the new one, and the one that they expect.
        let needed = (largest as u64).saturating_mul(2).saturating_add(REST).max(LEAST);
        let limit = limit.unsigned_abs();
        if limit < needed { Err(MigrationError::SmallPackets { limit, needed }) } else { Ok(()) }
    }

    fn revert_newest(&mut self, _table: &SessionTable) -> Result<String, MigrationError> {
        alone(self, |conn| {
            sql_query(CREATE_RECORD).execute(conn)?;
            let version = Recorded(conn).revert_last_migration(MYSQL).map_err(failed)?;
            Ok(version.to_string())
        })
    }
}

fn missing(conn: &mut MysqlConnection) -> Result<Vec<String>, MigrationError> {
    let pending = if has_table(conn, "__diesel_session_migrations")? {
        Recorded(conn).pending_migrations(MYSQL)
    } else {
        MYSQL.migrations()
    };
    if pending.is_err() {
        forget_statements(conn);
    }
    Ok(versions(pending.map_err(failed)?))
}

/// Whether each owner has a row that logins can lock.
fn has_lock_rows(conn: &mut MysqlConnection) -> QueryResult<bool> {
    let rows: i64 = if has_table(conn, "session_owner_lock")? {
        let slots = session_owner_lock::table.filter(session_owner_lock::slot.between(0, LAST_OWNER_SLOT));
        conn.only_row(slots.count())?
    } else {
        0
    };
    Ok(rows == i64::from(LAST_OWNER_SLOT) + 1)
}

/// Refuses a table that was dropped, or that holds keys which the key storage would never find.
fn check_keys(conn: &mut MysqlConnection, storage: KeyStorage) -> Result<(), MigrationError> {
    if !has_table(conn, "session")? {
        return Err(MigrationError::TableDropped);
    }
    // A hashed key begins with `$`.
    let is_hashed = session::session_key.like("$%");
    match storage {
        KeyStorage::Plain => {
            if conn.only_row(select(exists(session::table.filter(is_hashed))))? {
                return Err(MigrationError::HashedKeys);
            }
        }
        KeyStorage::Hashed => {
            const LOOKED_AT: i64 = 100;
            let first = session::table
                .filter(session::session_key.gt(KeyParameter::from(&StoredKey::FIRST)))
                .order(session::session_key)
                .select(is_hashed)
                .limit(LOOKED_AT);
            let are_hashed: Vec<bool> = conn.rows(first)?;
            if !are_hashed.is_empty() && !are_hashed.contains(&true) {
                return Err(MigrationError::PlainKeys);
            }
        }
    }
    Ok(())
}

/// Runs `work` while no other process migrates this database. Refuses an open transaction, which the first DDL statement
/// would commit.
fn alone<T>(
    conn: &mut MysqlConnection,
    work: impl FnOnce(&mut MysqlConnection) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    // Also one that Diesel has not begun.
    if conn.is_in_transaction() || conn.only_row(select(sql::<Bool>("@@in_transaction")))? {
        return Err(MigrationError::WithinTransaction);
    }
    // The lock is the whole server's, and a name has at most 64 characters.
    let prefix = "diesel-session:".into_sql::<Text>().nullable();
    let name: Option<String> = conn.only_row(select(concat(prefix, md5(database()))))?;
    let name = name.ok_or_else(|| failed("the address names no database".into()))?;
    conn.batch_execute(LIFT_LIMITS)?;
    let done = locked(conn, &name, work);
    if done.is_err() {
        forget_statements(conn);
    }
    let restored = conn.batch_execute(RESTORE_LIMITS);
    // If the connection was lost, the first error says why.
    done.and_then(|done| Ok(restored.map(|()| done)?))
}

/// The store's limit of a statement does not apply to migrations. They wait as long for other users of the table as for
/// another migration. MySQL skips the comments.
const LIFT_LIMITS: &str = "SET @diesel_session_wait = @@SESSION.lock_wait_timeout, SESSION lock_wait_timeout = 60 \
     /*M!100101 , @diesel_session_limit = @@SESSION.max_statement_time, SESSION max_statement_time = 0 */";

const RESTORE_LIMITS: &str = "SET SESSION lock_wait_timeout = @diesel_session_wait \
     /*M!100101 , SESSION max_statement_time = @diesel_session_limit */";

/// Runs `work` with the lock of this name.
fn locked<T>(
    conn: &mut MysqlConnection,
    name: &str,
    work: impl FnOnce(&mut MysqlConnection) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    let is_ours: Option<i64> = conn.only_row(select(get_lock(name, f64::from(PATIENCE))))?;
    if is_ours != Some(1) {
        return Err(MigrationError::TableBusy { waited: Duration::from_secs(PATIENCE.into()) });
    }
    let done = work(conn);
    let released: QueryResult<Option<i64>> = conn.only_row(select(release_lock(name)));
    done.and_then(|done| Ok(released.map(|_| done)?))
}

fn has_table(conn: &mut MysqlConnection, name: &str) -> QueryResult<bool> {
    conn.only_row(select(exists(tables::table.filter(is_table(name)))))
}

fn is_ours(conn: &mut MysqlConnection) -> QueryResult<bool> {
    let ours = is_table("session").and(tables::table_comment.eq(OURS));
    conn.only_row(select(exists(tables::table.filter(ours))))
}
