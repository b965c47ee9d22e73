//! Migrations on SQLite.

use diesel::migration::MigrationSource as _;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Integer};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use crate::database::record::{CREATE_RECORD, Recorded, failed, harness, versions};
use crate::database::{Liveness as _, Migrate};
use crate::error::MigrationError;
use crate::key::KeyStorage;
use crate::table::SessionTable;

/// The migrations for SQLite, for applications that run them with their own harness: see `POSTGRES`.
pub const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

harness!([] SqliteConnection, diesel::sqlite::Sqlite);

/// All statements name `main`, because a table `session` in an attached database is another table.
impl Migrate for SqliteConnection {
    const HAS_SCHEMAS: bool = false;

    fn migrate_table(&mut self, table: &SessionTable) -> Result<usize, MigrationError> {
        if missing(self)?.is_empty() {
            check_keys(self, table.key_storage)?;
            return Ok(0);
        }
        alone(self, |conn| {
            let made_by_us = !Recorded(conn).applied_migrations().map_err(failed)?.is_empty();
            if !made_by_us && exists(conn, "session")? {
                let reason = "this crate has not created it".to_owned();
                let advice = "rename it, or give the sessions a database file of their own";
                return Err(MigrationError::NotOurs { reason, advice });
            }
            Ok(Recorded(conn).run_pending_migrations(SQLITE).map_err(failed)?.len())
        })
    }

    fn check_table(&mut self, table: &SessionTable) -> Result<(), MigrationError> {
        let versions = missing(self)?;
        if versions.is_empty() {
            check_keys(self, table.key_storage)
        } else {
            Err(MigrationError::Missing { versions })
        }
    }

    /// Checks that no temporary table hides the session table.
    fn find_table(&mut self, _table: &SessionTable, _largest: usize) -> Result<(), MigrationError> {
        if says(self, "EXISTS (SELECT 1 FROM sqlite_temp_master WHERE name = 'session')")? {
            let reason = "a temporary table of that name hides it".to_owned();
            return Err(MigrationError::NotOurs { reason, advice: "drop the temporary table" });
        }
        Ok(())
    }

    fn revert_newest(&mut self, _table: &SessionTable) -> Result<String, MigrationError> {
        alone(self, |conn| {
            let version = Recorded(conn).revert_last_migration(SQLITE).map_err(failed)?;
            Ok(version.to_string())
        })
    }
}

fn missing(conn: &mut SqliteConnection) -> Result<Vec<String>, MigrationError> {
    patiently(conn, |conn| {
        let pending = if exists(conn, "__diesel_session_migrations")? {
            Recorded(conn).pending_migrations(SQLITE)
        } else {
            SQLITE.migrations()
        };
        Ok(versions(pending.map_err(failed)?))
    })
}

/// Refuses a table that was dropped, or that holds keys which the key storage would never find.
fn check_keys(conn: &mut SqliteConnection, storage: KeyStorage) -> Result<(), MigrationError> {
    let (others, refusal) = match storage {
        KeyStorage::Plain => {
            let hashed = "EXISTS (SELECT 1 FROM main.session WHERE session_key >= '$' AND session_key < '%')";
            (hashed, MigrationError::HashedKeys)
        }
        KeyStorage::Hashed => {
            let plain = "coalesce((SELECT min(substr(session_key, 1, 1) <> '$') \
                 FROM (SELECT session_key FROM main.session WHERE session_key >= '#' LIMIT 100)), false)";
            (plain, MigrationError::PlainKeys)
        }
    };
    patiently(conn, |conn| {
        if !exists(conn, "session")? {
            return Err(MigrationError::TableDropped);
        }
        if says(conn, others)? { Err(refusal) } else { Ok(()) }
    })
}

/// Runs `work` in one transaction that holds the write lock from its start.
fn alone<T>(
    conn: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    let recorded = |conn: &mut SqliteConnection| {
        if !exists(conn, "__diesel_session_migrations")? {
            sql_query(CREATE_RECORD).execute(conn)?;
        }
        work(conn)
    };
    patiently(conn, |conn| {
        if conn.is_in_transaction() {
            conn.transaction(recorded)
        } else {
            conn.immediate_transaction(recorded)
        }
    })
}

/// Lets `work` wait for the locks of other processes, even on a connection that has no busy timeout. Without
/// write-ahead logging, reads also have to wait.
fn patiently<T>(
    conn: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    #[derive(QueryableByName)]
    struct Timeout {
        #[diesel(sql_type = Integer)]
        timeout: i32,
    }
    const PATIENCE: i32 = 30_000;

    let Timeout { timeout } = sql_query("PRAGMA busy_timeout").get_result(conn)?;
    sql_query(format!("PRAGMA busy_timeout = {}", timeout.max(PATIENCE))).execute(conn)?;
    let result = work(conn);
    sql_query(format!("PRAGMA busy_timeout = {timeout}")).execute(conn)?;
    result
}

fn exists(conn: &mut SqliteConnection, name: &str) -> QueryResult<bool> {
    says(conn, &format!("EXISTS (SELECT 1 FROM main.sqlite_master WHERE name = '{name}')"))
}

/// Returns whether a condition in SQL is true.
fn says(conn: &mut SqliteConnection, question: &str) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        yes: bool,
    }
    sql_query(format!("SELECT {question} AS yes")).get_result(conn).map(|answer: Answer| answer.yes)
}
