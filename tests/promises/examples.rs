//! The examples run as their first lines say.

use std::process::{Command, Output};

use crate::support::{Database, example};

fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let output = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{output}{}", String::from_utf8_lossy(&stderr));
    output
}

#[test]
fn quickstart_runs_on_sqlite_by_default() {
    let directory = tempfile::tempdir().unwrap();
    let output =
        run(Command::new(example("quickstart")).env_remove("DATABASE_URL").env("TMPDIR", directory.path()));
    assert!(output.contains("an SQLite database"), "{output}");
    assert!(output.lines().count() >= 10, "{output}");
    assert!(directory.path().join("diesel-session-quickstart.sqlite").exists());
}

#[test]
fn quickstart_runs_on_the_postgres_that_database_url_names() {
    let database = Database::new();
    let output = run(Command::new(example("quickstart")).env("DATABASE_URL", &database.url));
    assert!(output.contains("the PostgreSQL that DATABASE_URL names"), "{output}");
    assert!(output.contains("9. Cleared"), "{output}");
}

#[test]
fn one_transaction_keeps_both_or_neither() {
    let output = run(&mut Command::new(example("one_transaction")));
    assert!(output.contains("orders: 0; cart: a book."), "{output}");
    assert!(output.contains("orders: 1; cart: empty."), "{output}");
}

#[test]
fn migrate_says_what_is_missing_and_mends_it() {
    let database = Database::new();
    let mut check = Command::new(example("migrate"));
    check.env("DATABASE_URL", &database.url).arg("--check");
    let refused = check.output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("20261122000001"));
    assert_eq!(
        run(Command::new(example("migrate")).env("DATABASE_URL", &database.url)),
        "1 migration(s) run\n"
    );
    assert_eq!(run(&mut check), "up to date\n");
}
