//! A migration of a PostgreSQL table that others use. (Under load, with programs of two versions: `faults/tests/migration.rs`.)

use diesel::prelude::*;
use diesel_session::{KeyStorage, MigrationError, migrations};
use throwaway_postgres::Server;

use crate::migrations::migration_error;
use crate::support::{Database, Sql as _};

/// Between two attempts at the lock the migration is a transaction that does nothing.
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

/// To look for a hashed key among plain ones can mean to read the whole table.
#[test]
fn a_table_is_searched_for_keys_of_the_other_form_before_it_is_locked() {
    let server = Server::start(&["log_statement=all"]).unwrap();
    let mut conn = PgConnection::establish(&server.url("postgres")).unwrap();
    migrations::migrate(&mut conn, KeyStorage::Plain).unwrap();
    migrations::revert(&mut conn).unwrap();
    let before = server.log().unwrap().len();
    migrations::migrate(&mut conn, KeyStorage::Plain).unwrap();
    let log = server.log().unwrap().split_off(before);
    let search = log.rfind("EXISTS (SELECT FROM session WHERE").unwrap();
    assert!(search < log.find("LOCK TABLE session").unwrap(), "{log}");
}
