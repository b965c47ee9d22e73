//! `migrate`, `check`, `revert` and `adopt`.

use diesel_session::{Now as _, Sessions as _};

use crate::support::{Database, Postgres, Sqlite, counts, on_each_database};

on_each_database! {
    migrate_makes_the_table_once
    a_dry_run_of_migrate_changes_nothing
    check_says_what_is_missing
    revert_undoes_the_newest_migration_after_a_question
    a_dry_run_of_revert_changes_nothing
}

fn migrate_makes_the_table_once<D: Database>(database: &D) {
    let first = database.run(&["migrate"]);
    assert!(first.ends_with(" migrations run\n") || first == "1 migration run\n", "{first}");
    assert_eq!(database.run(&["migrate"]), "nothing to do: the session table is up to date\n");
    let store = database.store();
    let key = store.generate(Some("x"), None).unwrap();
    assert_eq!(store.get(&key).unwrap().0, "x");
    assert_eq!(database.run(&["check"]), "the session table is up to date\n");
}

fn a_dry_run_of_migrate_changes_nothing<D: Database>(database: &D) {
    // Otherwise the command refuses to open a file that is not there.
    database.run_sql("CREATE TABLE other (id INTEGER)");
    for _ in 0..2 {
        let missing = database.run(&["migrate", "--dry-run"]);
        assert!(missing.starts_with("missing migrations: 2026"), "{missing}");
    }
    database.run(&["migrate"]);
    assert_eq!(database.run(&["migrate", "--dry-run"]), "nothing to do: the session table is up to date\n");
}

fn check_says_what_is_missing<D: Database>(database: &D) {
    database.run_sql("CREATE TABLE other (id INTEGER)");
    let missing = database.fails(&["check"]);
    assert!(missing.starts_with("the session table lacks 2026"), "{missing}");
    assert!(missing.contains("run `diesel-session migrate`"), "{missing}");
}

fn revert_undoes_the_newest_migration_after_a_question<D: Database>(database: &D) {
    let store = database.migrated();
    store.generate(None, None).unwrap();
    let asked = database.fails(&["revert"]);
    assert!(asked.contains("--yes") && asked.contains("drops the table"), "{asked}");
    assert_eq!(database.run(&["check"]), "the session table is up to date\n");
    let mut versions = Vec::new();
    while let Some(version) = newest(database) {
        let undone = database.run(&["revert", "--yes"]);
        assert_eq!(undone, format!("the migration {version} is undone\n"));
        versions.push(version);
    }
    assert!(!versions.is_empty() && versions.is_sorted_by(|newer, older| newer > older), "{versions:?}");
    assert!(database.fails(&["revert", "--yes"]).starts_with("no migration was run"));
}

/// The newest migration, as a dry run shows it.
fn newest(database: &impl Database) -> Option<String> {
    let output = database.command(&["revert", "--dry-run"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim_end().strip_prefix("the newest migration is ").map(str::to_owned)
}

fn a_dry_run_of_revert_changes_nothing<D: Database>(database: &D) {
    let store = database.migrated();
    store.generate(None, None).unwrap();
    assert_eq!(newest(database), newest(database));
    assert_eq!(database.run(&["check"]), "the session table is up to date\n");
    assert_eq!(counts(&store), (1, 0));
}

/// The table of OCaml's session-postgresql, with two sessions.
const ORIGINAL: &str = "CREATE TABLE session (session_key char(40), expire_date timestamp(2) with time zone, session_data text); \
     INSERT INTO session VALUES (repeat('a', 40), now() + interval '1 hour', 'x'), \
       (repeat('b', 40), now() + interval '1 hour', 'y')";

#[test]
fn adopt_hashes_clear_keys_after_a_question() {
    let database = Postgres::new();
    database.run_sql(ORIGINAL);
    let refused = database.fails(&["migrate"]);
    assert!(refused.contains("--plain-keys") && refused.contains("diesel-session adopt"), "{refused}");
    assert_eq!(database.run(&["adopt", "--dry-run"]), "2 sessions would get hashed keys\n");
    let asked = database.fails(&["adopt"]);
    assert!(asked.contains("--yes") && asked.contains("2 sessions"), "{asked}");
    assert_eq!(database.run(&["adopt", "--yes"]), "2 sessions got hashed keys\n");
    assert_eq!(database.run(&["adopt"]), "nothing to do: no key is in clear\n");
    let key = "a".repeat(40).parse().unwrap();
    assert_eq!(database.store().get(&key).unwrap().0, "x");
    assert!(database.fails(&["check", "--plain-keys"]).contains("leave --plain-keys out"));
}

#[test]
fn a_table_with_plain_keys_is_kept_with_that_option() {
    let database = Postgres::new();
    database.run_sql(ORIGINAL);
    database.run(&["migrate", "--plain-keys"]);
    database.run(&["check", "--plain-keys"]);
    assert_eq!(database.run(&["list", "--plain-keys", "--limit", "1"]).lines().count(), 2);
}

#[test]
fn a_table_on_sqlite_cannot_be_adopted() {
    let database = Sqlite::new();
    database.migrated();
    assert_eq!(database.fails(&["adopt"]), "only a table on PostgreSQL can be adopted");
}

/// Each schema has its own sessions.
#[test]
fn the_schema_can_be_named() {
    let database = Postgres::new();
    database.run(&["--schema", "shop", "migrate"]);
    assert!(database.fails(&["check"]).contains("the session table lacks"));
    database.run(&["check", "--schema", "shop"]);
    let store = diesel_session::DieselSession::<diesel::PgConnection>::builder().schema("shop");
    let store = store.connect(&database.url()).unwrap();
    store.generate_for("alice", None, None).unwrap();
    assert!(database.run(&["list", "--schema", "shop"]).contains("alice"));
    assert_eq!(database.run(&["end", "--all", "--yes", "--schema", "shop"]), "1 session ended\n");
}
