//! A migration that finds something in its way, or not as it should be, reports this and changes nothing.

use diesel::prelude::*;
use diesel::sql_query;
use diesel_session::{KeyStorage, MigrationError, Now, migrations};

use crate::adoption::ORIGINAL;
use crate::migrations::{POSTGRES_VERSIONS, SQLITE_VERSIONS, fingerprint, migration_error};
use crate::support::{Database, File, Postgres, Sql};

#[test]
fn other_schemas_are_left_alone() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    let before = fingerprint(&mut conn);
    // New tables would go to `tenant`, and queries would then no longer find the table in `public`.
    conn.run("CREATE SCHEMA tenant; SET search_path = tenant, public");
    for storage in [KeyStorage::Hashed, KeyStorage::Plain] {
        let error = migration_error(migrations::migrate(&mut conn, storage));
        assert!(matches!(error, MigrationError::OtherSchema { .. }), "{error:?}");
        assert!(
            error.to_string().contains("schema public") && error.to_string().contains("schema tenant"),
            "{error}"
        );
    }
    conn.run("SET search_path = tenant");
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), POSTGRES_VERSIONS);
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261127000002");
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261122000001");
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), POSTGRES_VERSIONS);
    assert_eq!(fingerprint(&mut conn), before);

    conn.run("SET search_path = public");
    migrations::adopt(&mut conn).unwrap();
    conn.run("CREATE SCHEMA tenant2; SET search_path = tenant2, public");

    // The record in `public` belongs to the table in `public`, not to the table of a schema that comes first in the
    // path.
    conn.run("CREATE TABLE tenant2.session (id integer)");
    let mut conn = database.conn();
    conn.run("SET search_path = tenant2, public");
    let error = migration_error(migrations::migrate(&mut conn, KeyStorage::Hashed));
    assert!(matches!(error, MigrationError::NotOurs { .. }), "{error:?}");
    assert!(matches!(
        migration_error(migrations::check(&mut conn, KeyStorage::Hashed)),
        MigrationError::Missing { .. }
    ));
    assert!(matches!(migration_error(migrations::revert(&mut conn)), MigrationError::Failed { .. }));
    assert_eq!(conn.number("SELECT count(*) FROM tenant2.session"), 0);
    assert_eq!(conn.number("SELECT count(*) FROM public.session"), 1);
}

#[test]
fn a_table_that_was_dropped_by_hand_is_reported_and_can_be_created_again() {
    macro_rules! drop_by_hand {
        ($conn:expr, $versions:expr) => {
            let mut conn = $conn;
            migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
            conn.run("DROP TABLE session");
            for result in [
                migrations::migrate(&mut conn, KeyStorage::Hashed).map(drop),
                migrations::check(&mut conn, KeyStorage::Hashed),
            ] {
                let error = migration_error(result);
                assert!(matches!(error, MigrationError::TableDropped), "{error:?}");
                assert!(error.to_string().contains("revert"), "{error}");
            }
            for _ in 0..$versions {
                migrations::revert(&mut conn).unwrap();
            }
            assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), $versions);
        };
    }
    let database = Database::new();
    drop_by_hand!(database.conn(), POSTGRES_VERSIONS);
    let file = File::new();
    drop_by_hand!(file.conn(), SQLITE_VERSIONS);
}

#[test]
fn an_index_of_another_table_is_left_alone() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(
        "CREATE TABLE login (session_key text); CREATE UNIQUE INDEX session_key_idx ON login (session_key)",
    );
    let before = fingerprint(&mut conn);
    let error = migration_error(migrations::migrate(&mut conn, KeyStorage::Hashed));
    assert!(matches!(error, MigrationError::Failed { .. }), "{error:?}");
    assert_eq!(fingerprint(&mut conn), before);
}

#[test]
fn a_store_refuses_a_table_with_another_key_storage() {
    let database = Database::new();
    let plain = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
    plain.migrate().unwrap();
    plain.generate(None, None).unwrap();
    let hashed = Postgres::connect(&database.url).unwrap();
    assert!(matches!(migration_error(hashed.migrate()), MigrationError::PlainKeys));
    assert!(matches!(migration_error(hashed.check()), MigrationError::PlainKeys));

    let file = File::new();
    let builder = crate::support::Sqlite::builder;
    let plain = builder().key_storage(KeyStorage::Plain).connect(&file.path).unwrap();
    plain.migrate().unwrap();
    plain.generate(None, None).unwrap();
    let hashed = builder().connect(&file.path).unwrap();
    assert!(matches!(migration_error(hashed.check()), MigrationError::PlainKeys));
    file.conn().run("UPDATE session SET session_key = '$'");
    hashed.check().unwrap();
    assert!(matches!(migration_error(plain.check()), MigrationError::HashedKeys));
}

#[test]
fn a_table_that_is_not_ours_is_refused_and_left_as_it_is() {
    for foreign in [
        "CREATE TABLE session (id integer, secret text)",
        "CREATE TABLE session (session_key text, expire_date timestamp(2) with time zone, session_data text)",
        "CREATE TABLE session (session_key char(40), expire_date timestamp(2) with time zone, session_data text, extra integer)",
        "CREATE VIEW session AS SELECT 1 AS session_key",
    ] {
        let database = Database::new();
        let mut conn = database.conn();
        conn.run(foreign);
        let before = fingerprint(&mut conn);
        for result in [
            migrations::migrate(&mut conn, KeyStorage::Hashed),
            migrations::migrate(&mut conn, KeyStorage::Plain),
            migrations::adopt(&mut conn),
        ] {
            let error = migration_error(result);
            assert!(matches!(error, MigrationError::NotOurs { .. }), "{error:?}");
        }
        assert_eq!(fingerprint(&mut conn), before);
    }

    let file = File::new();
    let mut conn = file.conn();
    conn.run("CREATE TABLE session (id integer)");
    let error = migration_error(migrations::migrate(&mut conn, KeyStorage::Hashed));
    assert!(matches!(error, MigrationError::NotOurs { .. }), "{error:?}");
    assert_eq!(conn.number("SELECT count(*) FROM sqlite_master"), 1);
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let database = Database::new();
    let mut conn = database.conn();
    // This relation has the name of one of our indexes.
    conn.run("CREATE TABLE session_owner_idx (id integer)");
    let before = fingerprint(&mut conn);
    let error = migration_error(migrations::migrate(&mut conn, KeyStorage::Hashed));
    assert!(matches!(error, MigrationError::Failed { .. }), "{error:?}");
    assert_eq!(fingerprint(&mut conn), before);
    sql_query("DROP TABLE session_owner_idx").execute(&mut conn).unwrap();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), POSTGRES_VERSIONS);
}

#[test]
fn an_encoding_that_cannot_hold_every_text_is_refused() {
    let latin = Database::in_encoding("LATIN1");
    let mut conn = latin.conn();
    for result in [
        migrations::migrate(&mut conn, KeyStorage::Hashed).map(drop),
        migrations::check(&mut conn, KeyStorage::Hashed),
        migrations::adopt(&mut conn).map(drop),
    ] {
        let error = migration_error(result);
        assert!(
            matches!(&error, MigrationError::Encoding { encoding, .. } if encoding == "LATIN1"),
            "{error:?}"
        );
    }
    assert_eq!(fingerprint(&mut conn), "");
    for accepted in ["UTF8", "SQL_ASCII"] {
        let database = Database::in_encoding(accepted);
        let store = database.store();
        let key = store.generate(Some("Größe 大小"), None).unwrap();
        assert_eq!(store.get(&key).unwrap().0, "Größe 大小");
    }
}
