//! The table at startup: many processes at once, beside a host's own migrations, and met by the table of
//! the original (whose DDL, fault 14, could not be run twice).

use std::process::{Command, Stdio};

use diesel::prelude::*;
use diesel::sql_query;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use diesel_session::{Error, KeyStorage, MigrationError, Now, SessionKey, migrations};

use throwaway_postgres::Server;

use crate::support::{Database, File, Postgres, Sql, example};

const THEIR_KEY: &str = "AbCdEfGh+/0123456789AbCdEfGh+/0123456789";

/// The table and index of session-postgresql's page, with one live session.
const ORIGINAL: &str = "CREATE TABLE session (session_key char(40), expire_date timestamp (2) with time zone, session_data text); \
     CREATE INDEX session_key_idx ON session (session_key); \
     INSERT INTO session VALUES ('AbCdEfGh+/0123456789AbCdEfGh+/0123456789', now() + interval '1 day', 'theirs')";

fn migration_error<T: std::fmt::Debug>(result: Result<T, Error>) -> MigrationError {
    match result {
        Err(Error::Migration(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Every column, index, comment and row of this schema: what a refused migration must leave as it was.
fn fingerprint(conn: &mut PgConnection) -> String {
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
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 0);
    let file = File::new();
    let mut conn = file.conn();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 0);
}

#[test]
fn migrating_works_inside_the_callers_transaction() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.begin_test_transaction().unwrap();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
    drop(conn);
    assert_eq!(fingerprint(&mut database.conn()), "");
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    conn.begin_test_transaction().unwrap();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
}

/// Starts sixteen processes at once, and counts what they say.
fn sixteen_at_once(url: &str) {
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
            "1 migration(s) run\n" => said[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(said, [15, 1]);
}

#[test]
fn sixteen_processes_can_migrate_an_empty_postgres_at_once() {
    for _ in 0..3 {
        let database = Database::new();
        sixteen_at_once(&database.url);
        database.store().generate(None, None).unwrap();
    }
}

#[test]
fn sixteen_processes_can_migrate_an_empty_sqlite_file_at_once() {
    for _ in 0..10 {
        let file = File::new();
        sixteen_at_once(&file.path);
        file.store().generate(None, None).unwrap();
    }
}

#[test]
fn migrating_waits_under_a_stricter_default_isolation_too() {
    use diesel::connection::{AnsiTransactionManager, TransactionManager};

    let database = Database::new();
    let mut conn = database.conn();
    conn.run("SET default_transaction_isolation = 'repeatable read'");
    let mut other = database.conn();
    AnsiTransactionManager::begin_transaction(&mut other).unwrap();
    assert_eq!(migrations::migrate(&mut other, KeyStorage::Hashed).unwrap(), 1);
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
fn other_schemas_are_left_alone() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    let before = fingerprint(&mut conn);
    // New tables would go to `tenant`, and queries would then no longer find the one in `public`.
    conn.run("CREATE SCHEMA tenant; SET search_path = tenant, public");
    for storage in [KeyStorage::Hashed, KeyStorage::Plain] {
        let error = migration_error(migrations::migrate(&mut conn, storage));
        assert!(matches!(error, MigrationError::NotOurs { .. }), "{error:?}");
        assert!(
            error.to_string().contains("schema public") && error.to_string().contains("schema tenant"),
            "{error}"
        );
    }
    conn.run("SET search_path = tenant");
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261122000001");
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
    assert_eq!(fingerprint(&mut conn), before);

    // What queries find is what is looked at: with our table in `public`, `tenant2` needs none.
    conn.run("SET search_path = public");
    migrations::adopt(&mut conn).unwrap();
    conn.run("CREATE SCHEMA tenant2; SET search_path = tenant2, public");
    migrations::check(&mut conn, KeyStorage::Hashed).unwrap();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 0);
    assert_eq!(conn.number("SELECT count(*) FROM pg_class WHERE relnamespace = 'tenant2'::regnamespace"), 0);

    // The record is that of the table beside it, not of one that another schema puts in front.
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
fn a_table_that_was_dropped_by_hand_is_told_and_can_be_made_again() {
    macro_rules! drop_by_hand {
        ($conn:expr) => {
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
            migrations::revert(&mut conn).unwrap();
            assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
        };
    }
    let database = Database::new();
    drop_by_hand!(database.conn());
    let file = File::new();
    drop_by_hand!(file.conn());
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
fn a_table_of_plain_keys_is_refused_by_a_store_of_hashed_ones() {
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
    assert_eq!(conn.run_pending_migrations(migrations::POSTGRES).unwrap().len(), 1);
    Postgres::connect(&database.url).unwrap().generate(None, None).unwrap();
    assert_eq!(conn.revert_all_migrations(migrations::POSTGRES).unwrap().len(), 1);

    let file = File::new();
    let mut conn = file.conn();
    assert_eq!(conn.run_pending_migrations(migrations::SQLITE).unwrap().len(), 1);
    assert_eq!(conn.revert_all_migrations(migrations::SQLITE).unwrap().len(), 1);
}

#[test]
fn each_migration_has_a_working_down() {
    let database = Database::new();
    let mut conn = database.conn();
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261122000001");
    assert_eq!(conn.number("SELECT count(*) FROM pg_class WHERE relname = 'session'"), 0);
    assert!(matches!(migration_error(migrations::revert(&mut conn)), MigrationError::Failed { .. }));
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);

    let file = File::new();
    let mut conn = file.conn();
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261122000001");
    assert_eq!(conn.number("SELECT count(*) FROM sqlite_master WHERE name = 'session'"), 0);
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
}

#[test]
fn the_check_names_what_is_missing_and_changes_nothing() {
    let database = Database::new();
    let mut conn = database.conn();
    let error = migration_error(migrations::check(&mut conn, KeyStorage::Hashed));
    assert!(matches!(&error, MigrationError::Missing { versions, .. } if versions == &["20261122000001"]));
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
    // A server of its own, which lets every role in.
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
    assert_eq!(store.migrate().unwrap(), 0);
    let key = store.generate(Some("x".to_owned()), None).unwrap();
    store.set(&key, "y".to_owned(), None).unwrap();
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
    let key = store.generate(Some("x".to_owned()), None).unwrap();
    assert_eq!(store.get(&key).unwrap().0, "x");
}

#[test]
fn a_table_of_the_original_with_sessions_is_not_touched_without_a_choice() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    let before = fingerprint(&mut conn);
    let error = migration_error(migrations::migrate(&mut conn, KeyStorage::Hashed));
    assert!(matches!(error, MigrationError::PlainKeys));
    assert!(
        error.to_string().contains("KeyStorage::Plain") && error.to_string().contains("adopt"),
        "{error}"
    );
    assert_eq!(fingerprint(&mut conn), before);
}

#[test]
fn an_empty_table_of_the_original_needs_no_choice() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    conn.run("DELETE FROM session");
    let store = database.store();
    store.generate(None, None).unwrap();
}

#[test]
fn the_originals_sessions_live_on_beside_running_ocaml_services() {
    let database = Database::new();
    database.conn().run(ORIGINAL);
    let store = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
    assert_eq!(store.migrate().unwrap(), 1);
    let key: SessionKey = THEIR_KEY.parse().unwrap();
    assert_eq!(store.get(&key).unwrap().0, "theirs");
    // The statements of the original still work, and each sees the other's sessions.
    let mut ocaml = database.conn();
    ocaml.run(&format!(
        "UPDATE session SET expire_date = now() + interval '1 hour', session_data = 'ours' WHERE session_key = '{THEIR_KEY}'; \
         INSERT INTO session (session_key, expire_date, session_data) VALUES (repeat('o', 40), now() + interval '1 hour', 'new')"
    ));
    assert_eq!(store.get(&key).unwrap().0, "ours");
    assert_eq!(store.get(&"o".repeat(40).parse().unwrap()).unwrap().0, "new");
    let ours = store.generate(Some("x".to_owned()), None).unwrap();
    let count = format!("SELECT count(*) FROM session WHERE session_key = '{}'", ours.as_str());
    assert_eq!(ocaml.number(&count), 1);
}

#[test]
fn adopted_sessions_live_on_under_hashed_keys() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    assert_eq!(migrations::adopt(&mut conn).unwrap(), 1);
    assert_eq!(migrations::adopt(&mut conn).unwrap(), 0);
    let store = database.store();
    assert_eq!(store.get(&THEIR_KEY.parse().unwrap()).unwrap().0, "theirs");
    assert!(conn.yes("SELECT bool_and(session_key LIKE '$%') FROM session"));
    let plain = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
    assert!(matches!(migration_error(plain.migrate()), MigrationError::HashedKeys));
}

#[test]
fn a_shared_table_can_be_adopted_later() {
    let database = Database::new();
    let plain = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
    plain.migrate().unwrap();
    let key = plain.generate(Some("x".to_owned()), None).unwrap();
    assert_eq!(migrations::adopt(&mut database.conn()).unwrap(), 1);
    assert_eq!(database.store().get(&key).unwrap().0, "x");
}

#[test]
fn what_the_original_forgot_is_made_good_on_adoption() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    conn.run(
        "ALTER TABLE session ADD COLUMN created_on timestamp DEFAULT now(); \
         UPDATE session SET created_on = NULL; \
         INSERT INTO session VALUES \
           (repeat('d', 40), now() + interval '1 hour', 'older'), \
           (repeat('d', 40), now() + interval '2 hours', 'newer'), \
           (repeat('d', 40), now() - interval '1 hour', 'dead'), \
           (repeat('i', 40), 'infinity', 'immortal'), \
           (repeat('m', 40), '-infinity', 'never'), \
           (repeat('n', 40), NULL, 'undated'), \
           (NULL, now() + interval '1 hour', 'nameless')",
    );
    migrations::adopt(&mut conn).unwrap();
    assert_eq!(
        conn.text("SELECT string_agg(session_data, ',' ORDER BY session_data) FROM session"),
        "immortal,newer,theirs"
    );
    assert!(conn.yes("SELECT bool_and(now() - created_on BETWEEN '-1 minute' AND '1 hour') FROM session"));
    let store = database.store();
    let (value, left) = store.get(&"i".repeat(40).parse().unwrap()).unwrap();
    assert_eq!(value, "immortal");
    assert!(left <= chrono::TimeDelta::weeks(1) && left > chrono::TimeDelta::days(6));
}

#[test]
fn an_adopted_table_is_not_dropped_by_the_down_of_version_one() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    migrations::adopt(&mut conn).unwrap();
    let before = fingerprint(&mut conn);
    let error = migration_error(migrations::revert(&mut conn));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("adopted"), "{error:?}");
    assert_eq!(fingerprint(&mut conn), before);
    assert_eq!(conn.number("SELECT count(*) FROM session"), 1);
    migrations::check(&mut conn, KeyStorage::Hashed).unwrap();
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
    // A relation that is in the way of an index of ours.
    conn.run("CREATE TABLE session_owner_idx (id integer)");
    let before = fingerprint(&mut conn);
    let error = migration_error(migrations::migrate(&mut conn, KeyStorage::Hashed));
    assert!(matches!(error, MigrationError::Failed { .. }), "{error:?}");
    assert_eq!(fingerprint(&mut conn), before);
    sql_query("DROP TABLE session_owner_idx").execute(&mut conn).unwrap();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
}
