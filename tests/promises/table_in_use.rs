//! A migration of a PostgreSQL table that other programs use. (`faults/tests/migration.rs` tests it under load, with
//! programs of two versions.)

use diesel_session::{KeyStorage, MigrationError, migrations};

use crate::migrations::migration_error;
use crate::support::{Database, Sql as _};

/// Between two attempts to get the lock, the migration is an idle transaction.
#[test]
fn a_server_that_ends_idle_transactions_does_not_end_a_migration_that_waits() {
    let database = Database::new();
    let mut conn = database.conn();
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    migrations::revert(&mut conn).unwrap();
    let mut reader = database.conn();
    reader.run("BEGIN; SELECT FROM session");
    conn.run("SET idle_in_transaction_session_timeout = '150ms'");
    let busy = migration_error(migrations::migrate(&mut conn, KeyStorage::Hashed));
    assert!(matches!(busy, MigrationError::TableBusy { .. }), "{busy:?}");
    assert_eq!(conn.text("SELECT current_setting('idle_in_transaction_session_timeout')"), "150ms");
    reader.run("COMMIT");
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
}
