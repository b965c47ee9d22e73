//! Migrations on a database whose DDL statements commit.

use diesel::connection::Connection as _;
use diesel_session::{Error, KeyStorage, MigrationError, Now as _, OwnerLimit, Sessions as _, migrations};

use crate::support::{MariaDb, Mysql, Sql as _, at_once, shown};

/// The first DDL statement would commit it.
#[test]
fn a_migration_does_not_commit_the_callers_transaction() {
    let database = MariaDb::new();
    let mut conn = database.conn();
    conn.run("CREATE TABLE orders (id INT) ENGINE = InnoDB");
    conn.begin_test_transaction().unwrap();
    conn.run("INSERT INTO orders VALUES (1)");
    let refused = migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::WithinTransaction)), "{}", shown(&refused));
    assert_eq!(database.conn().number("SELECT COUNT(*) FROM orders"), 0);
    // Nor one that Diesel has not begun.
    let mut raw = database.conn();
    raw.run("BEGIN; INSERT INTO orders VALUES (2)");
    assert!(migrations::migrate(&mut raw, KeyStorage::Hashed).is_err());
    drop(raw);
    assert_eq!(database.conn().number("SELECT COUNT(*) FROM orders"), 0);
    // If there is nothing to do, it only reads.
    migrations::migrate(&mut database.conn(), KeyStorage::Hashed).unwrap();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 0);
    assert_eq!(database.conn().number("SELECT COUNT(*) FROM orders"), 0);
}

#[test]
fn one_of_many_migrations_at_once_does_the_work() {
    let database = MariaDb::new();
    let versions = at_once(16, |_| migrations::migrate(&mut database.conn(), KeyStorage::Hashed).unwrap());
    assert_eq!(versions.iter().sum::<usize>(), 1);
}

/// A migration can be interrupted after each of its statements.
#[test]
fn a_migration_that_was_interrupted_is_finished() {
    for rest in ["DROP TABLE session_owner_lock", "DELETE FROM session_owner_lock WHERE slot > 7"] {
        let database = MariaDb::new();
        let key = database.store().generate(Some("x"), None).unwrap();
        let mut conn = database.conn();
        conn.run(&format!("{rest}; DELETE FROM __diesel_session_migrations"));
        assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
        let store = database.store_with(Mysql::builder().owner_limit(OwnerLimit::EndOldest(1)));
        assert_eq!(store.get(&key).unwrap().0, "x");
        for owner in 0..50 {
            store.generate_for(&owner.to_string(), None, None).unwrap();
        }
    }
}

/// Without the row of an owner, no login of that owner could be locked.
#[test]
fn lost_rows_of_owners_are_missed_by_the_check_and_made_again_by_migrate() {
    let database = MariaDb::new();
    let store = database.store();
    let mut conn = database.conn();
    conn.run("DELETE FROM session_owner_lock");
    let refused = store.clear_owner("alice", None).unwrap_err();
    assert!(shown(&refused).contains("run `migrate`"), "{}", shown(&refused));
    let refused = store.check().unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::LockRowsLost)), "{}", shown(&refused));
    store.migrate().unwrap();
    store.check().unwrap();
    assert_eq!(conn.number("SELECT COUNT(*) FROM session_owner_lock"), 256);
    conn.run("DROP TABLE session_owner_lock");
    let refused = store.check().unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::LockRowsLost)), "{}", shown(&refused));
    store.migrate().unwrap();
    store.check().unwrap();
}

#[test]
fn the_table_of_another_program_is_left_alone() {
    let database = MariaDb::new();
    let mut conn = database.conn();
    conn.run("CREATE TABLE session (id INT PRIMARY KEY); INSERT INTO session VALUES (7)");
    let refused = migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::NotOurs { .. })), "{}", shown(&refused));
    assert_eq!(conn.number("SELECT id FROM session"), 7);
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()";
    assert_eq!(conn.number(tables), 1, "nothing is left behind");
}

#[test]
fn the_form_of_the_keys_is_checked_and_a_revert_drops_the_tables() {
    let database = MariaDb::new();
    let store = database.store();
    store.generate(None, None).unwrap();
    let mut conn = database.conn();
    let refused = migrations::check(&mut conn, KeyStorage::Plain).unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::HashedKeys)), "{}", shown(&refused));
    store.clear_all().unwrap();
    database.store_with(Mysql::builder().key_storage(KeyStorage::Plain)).generate(None, None).unwrap();
    let refused = migrations::check(&mut conn, KeyStorage::Hashed).unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::PlainKeys)), "{}", shown(&refused));
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261128000001");
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() \
                  AND table_name LIKE 'session%'";
    assert_eq!(conn.number(tables), 0);
    assert!(migrations::revert(&mut conn).is_err());
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    conn.run("DROP TABLE session");
    let refused = migrations::check(&mut conn, KeyStorage::Hashed).unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::TableDropped)), "{}", shown(&refused));
}
