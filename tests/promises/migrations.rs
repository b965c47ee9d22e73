//! The table at startup. Many processes migrate it at once, and it lives beside a host's own migrations. (In the
//! original, the DDL could not be run twice: fault 14.)

use std::process::{Command, Stdio};

use diesel::prelude::*;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use diesel_session::{Error, KeyStorage, MigrationError, Now, Sessions, migrations};
use throwaway_postgres::Server;

use crate::support::{Database, File, Postgres, Sql, example};

pub(crate) const POSTGRES_VERSIONS: usize = 2;
pub(crate) const SQLITE_VERSIONS: usize = 3;

pub(crate) fn migration_error<T: std::fmt::Debug>(result: Result<T, Error>) -> MigrationError {
    match result {
        Err(Error::Migration(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Returns every column, index, comment and row of this schema. A refused migration must leave them as they were.
pub(crate) fn fingerprint(conn: &mut PgConnection) -> String {
    conn.text(
        "SELECT concat( \
           (SELECT string_agg(concat_ws(' ', table_name, column_name, data_type, is_nullable), ', ' ORDER BY table_name, ordinal_position) \
            FROM information_schema.columns WHERE table_schema = 'public'), \
           (SELECT string_agg(indexdef, ', ' ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'public'), \
           (SELECT string_agg(description, ', ') FROM pg_description WHERE objoid IN \
            (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)), \
           (SELECT string_agg(query_to_xml(format('SELECT * FROM public.%I', relname), true, true, '')::text, ', ' ORDER BY relname) \
            FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')))",
    )
}

#[test]
fn migrating_again_does_nothing() {
    let database = Database::new();
    let mut conn = database.conn();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), POSTGRES_VERSIONS);
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 0);
    let file = File::new();
    let mut conn = file.conn();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), SQLITE_VERSIONS);
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 0);
}

#[test]
fn migrating_works_inside_the_callers_transaction() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.begin_test_transaction().unwrap();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), POSTGRES_VERSIONS);
    drop(conn);
    assert_eq!(fingerprint(&mut database.conn()), "");
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    conn.begin_test_transaction().unwrap();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), SQLITE_VERSIONS);
}

/// Starts sixteen processes at once, and counts their answers. One of them runs all `versions`.
fn sixteen_at_once(url: &str, versions: usize) {
    let all = format!("{versions} migration(s) run\n");
    let processes: Vec<_> = (0..16)
        .map(|_| {
            Command::new(example("migrate"))
                .env("DATABASE_URL", url)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut said = [0, 0];
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        match String::from_utf8(output.stdout).unwrap().as_str() {
            "0 migration(s) run\n" => said[0] += 1,
            said_all if said_all == all => said[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(said, [15, 1]);
}

#[test]
fn sixteen_processes_can_migrate_an_empty_postgres_at_once() {
    for _ in 0..3 {
        let database = Database::new();
        sixteen_at_once(&database.url, POSTGRES_VERSIONS);
        database.store().generate(None, None).unwrap();
    }
}

#[test]
fn sixteen_processes_can_migrate_an_empty_sqlite_file_at_once() {
    for _ in 0..10 {
        let file = File::new();
        sixteen_at_once(&file.path, SQLITE_VERSIONS);
        file.store().generate(None, None).unwrap();
    }
}

#[test]
fn a_migration_also_waits_for_another_under_a_stricter_default_isolation() {
    use diesel::connection::{AnsiTransactionManager, TransactionManager};

    let database = Database::new();
    let mut conn = database.conn();
    conn.run("SET default_transaction_isolation = 'repeatable read'");
    let mut other = database.conn();
    AnsiTransactionManager::begin_transaction(&mut other).unwrap();
    assert_eq!(migrations::migrate(&mut other, KeyStorage::Hashed).unwrap(), POSTGRES_VERSIONS);
    let second = std::thread::spawn(move || migrations::migrate(&mut conn, KeyStorage::Hashed));
    let mut watcher = database.conn();
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while watcher.number(waiting) == 0 {
        assert!(!second.is_finished(), "the second did not wait for the first");
        std::thread::yield_now();
    }
    AnsiTransactionManager::commit_transaction(&mut other).unwrap();
    assert_eq!(second.join().unwrap().unwrap(), 0);
}

#[test]
fn the_callers_transaction_keeps_its_settings() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.begin_test_transaction().unwrap();
    conn.run("SET LOCAL statement_timeout = '11s'; SET LOCAL lock_timeout = '12s'");
    migrations::migrate(&mut conn, KeyStorage::Plain).unwrap();
    migrations::check(&mut conn, KeyStorage::Plain).unwrap();
    migrations::adopt(&mut conn).unwrap();
    assert_eq!(conn.text("SELECT current_setting('statement_timeout')"), "11s");
    assert_eq!(conn.text("SELECT current_setting('lock_timeout')"), "12s");
}

#[test]
fn a_hosts_own_migrations_run_revert_and_redo_beside_ours() {
    let directory = tempfile::tempdir().unwrap();
    for (version, table) in [("2020-01-01-000001", "users"), ("2020-01-01-000002", "orders")] {
        let folder = directory.path().join(format!("{version}_{table}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("up.sql"), format!("CREATE TABLE {table} (id integer)")).unwrap();
        std::fs::write(folder.join("down.sql"), format!("DROP TABLE {table}")).unwrap();
    }
    let theirs = || FileBasedMigrations::from_path(directory.path()).unwrap();

    macro_rules! beside {
        ($conn:expr) => {
            let mut conn = $conn;
            assert_eq!(conn.run_pending_migrations(theirs()).unwrap().len(), 2);
            migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
            conn.revert_last_migration(theirs()).unwrap();
            assert_eq!(conn.run_pending_migrations(theirs()).unwrap().len(), 1);
            assert_eq!(conn.revert_all_migrations(theirs()).unwrap().len(), 2);
            assert_eq!(conn.run_pending_migrations(theirs()).unwrap().len(), 2);
            migrations::check(&mut conn, KeyStorage::Hashed).unwrap();
            assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 0);
        };
    }
    let database = Database::new();
    beside!(database.conn());
    let file = File::new();
    beside!(file.conn());
}

#[test]
fn a_host_can_run_our_migrations_with_a_harness_of_its_own() {
    let database = Database::new();
    let mut conn = database.conn();
    assert_eq!(conn.run_pending_migrations(migrations::POSTGRES).unwrap().len(), POSTGRES_VERSIONS);
    Postgres::connect(&database.url).unwrap().generate(None, None).unwrap();
    assert_eq!(conn.revert_all_migrations(migrations::POSTGRES).unwrap().len(), POSTGRES_VERSIONS);

    let file = File::new();
    let mut conn = file.conn();
    assert_eq!(conn.run_pending_migrations(migrations::SQLITE).unwrap().len(), SQLITE_VERSIONS);
    assert_eq!(conn.revert_all_migrations(migrations::SQLITE).unwrap().len(), SQLITE_VERSIONS);
}

#[test]
fn each_migration_can_be_reverted() {
    let database = Database::new();
    let mut conn = database.conn();
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261127000002");
    let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'session'::regclass \
         AND attname IN ('label', 'used_on')";
    assert_eq!(conn.number(columns), 0);
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
    assert_eq!(conn.number(columns), 2);
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261127000002");
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261122000001");
    assert_eq!(conn.number("SELECT count(*) FROM pg_class WHERE relname = 'session'"), 0);
    assert!(matches!(migration_error(migrations::revert(&mut conn)), MigrationError::Failed { .. }));
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), POSTGRES_VERSIONS);

    let file = File::new();
    let mut conn = file.conn();
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261127000003");
    assert_eq!(
        conn.number("SELECT count(*) FROM pragma_table_info('session') WHERE name IN ('label', 'used_on')"),
        0
    );
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261125000002");
    assert_eq!(
        conn.number("SELECT count(*) FROM pragma_table_info('session') WHERE name = 'expire_hour'"),
        0
    );
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261122000001");
    assert_eq!(conn.number("SELECT count(*) FROM sqlite_master WHERE name LIKE 'session%'"), 0);
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), SQLITE_VERSIONS);
}

#[test]
fn check_names_the_missing_migrations_and_changes_nothing() {
    let database = Database::new();
    let mut conn = database.conn();
    let error = migration_error(migrations::check(&mut conn, KeyStorage::Hashed));
    assert!(
        matches!(&error, MigrationError::Missing { versions, .. } if versions == &["20261122000001", "20261127000002"])
    );
    assert!(error.to_string().contains("SELECT, INSERT, UPDATE, DELETE ON session"), "{error}");
    assert_eq!(fingerprint(&mut conn), "");
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    migrations::check(&mut conn, KeyStorage::Hashed).unwrap();

    let file = File::new();
    let mut conn = file.conn();
    assert!(matches!(
        migration_error(migrations::check(&mut conn, KeyStorage::Hashed)),
        MigrationError::Missing { .. }
    ));
    assert_eq!(conn.number("SELECT count(*) FROM sqlite_master"), 0);
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    migrations::check(&mut conn, KeyStorage::Hashed).unwrap();
}

#[test]
fn a_role_without_ddl_rights_needs_the_documented_grants_only() {
    // The test's own server, which accepts every role.
    let server = Server::start(&[]).unwrap();
    let database = Database::on(&server.url("postgres"));
    let mut conn = database.conn();
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    conn.run(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE app LOGIN; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON session TO app; \
         GRANT SELECT ON __diesel_session_migrations TO app",
    );
    let options = database.url.parse::<diesel_session::ConnectOptions>().unwrap().user("app");
    let store = Postgres::builder().connect_with(&options).unwrap();
    store.check().unwrap();
    let refused = migration_error(store.migrate());
    assert!(
        matches!(&refused, MigrationError::NotAMember { owner, .. } if owner == "postgres"),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("`check`"), "{refused}");
    let key = store.generate(Some("x"), None).unwrap();
    store.set(&key, "y", None).unwrap();
    store.get(&key).unwrap();
    store.clear(&key).unwrap();
    store.delete_expired(10).unwrap();
}

#[test]
fn a_newer_table_works_with_this_version() {
    let database = Database::new();
    let store = database.store();
    database.conn().run(
        "ALTER TABLE session ADD COLUMN of_a_later_version text; \
         INSERT INTO __diesel_session_migrations (version) VALUES ('99990101000001')",
    );
    assert_eq!(store.migrate().unwrap(), 0);
    let key = store.generate(Some("x"), None).unwrap();
    assert_eq!(store.get(&key).unwrap().0, "x");
}
