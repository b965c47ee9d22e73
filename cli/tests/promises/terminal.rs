//! The command in a terminal, which `script` imitates.

use std::io::Write as _;
use std::process::{Command, Stdio};

use diesel_session::{Now as _, Sessions as _, TimeDelta};

use crate::support::{Database, Sqlite, counts, text};

/// Runs the command in a terminal. `keys` are the keys that the operator presses.
fn in_a_terminal(database: &impl Database, arguments: &str, keys: &str) -> String {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_diesel-session"));
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("DATABASE_URL", database.url())
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    script.stdin.take().unwrap().write_all(keys.as_bytes()).unwrap();
    text(script.wait_with_output().unwrap().stdout)
}

#[test]
fn the_operator_is_asked() {
    let database = Sqlite::new();
    let store = database.migrated();
    store.generate_for("alice", None, None).unwrap();
    let no = in_a_terminal(&database, "end --owner alice", "n");
    assert!(no.contains("alice has 1 live session. End all?") && no.contains("nothing was changed"), "{no}");
    assert_eq!(counts(&store), (1, 0));
    let yes = in_a_terminal(&database, "end --owner alice", "y");
    assert!(yes.contains("1 session ended"), "{yes}");
    assert_eq!(counts(&store), (0, 0));
}

/// Enter alone is a no.
#[test]
fn a_question_has_a_harmless_default() {
    let database = Sqlite::new();
    let store = database.migrated();
    store.generate(None, None).unwrap();
    let enter = in_a_terminal(&database, "end --all", "\r");
    assert!(enter.contains("nothing was changed"), "{enter}");
    assert_eq!(counts(&store), (1, 0));
}

#[test]
fn an_import_shows_a_bar() {
    let database = Sqlite::new();
    database.migrated();
    database.run_sql("CREATE TABLE tower_sessions (id TEXT PRIMARY KEY, data BLOB, expiry_date INTEGER)");
    database
        .run_sql("INSERT INTO tower_sessions VALUES ('x', x'00', '2999-01-01'), ('y', x'00', '2999-01-01')");
    let shown = in_a_terminal(&database, "import --from tower-sessions-sqlx", "");
    assert!(shown.contains("of 2 read, ") && shown.contains("2 skipped: undecodable"), "{shown:?}");
}

#[test]
fn a_sweep_shows_a_bar() {
    let database = Sqlite::new();
    let store = database.migrated();
    for _ in 0..1_000 {
        store.generate(None, Some(TimeDelta::hours(-2))).unwrap();
    }
    let shown = in_a_terminal(&database, "sweep", "");
    assert!(shown.contains("of 1000 deleted, ") && shown.contains("left"), "{shown:?}");
    assert!(shown.contains("1000 expired rows deleted"), "{shown:?}");
}
