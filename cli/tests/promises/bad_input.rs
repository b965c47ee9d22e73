//! Wrong arguments, and databases in trouble. Each failure is one line that says what to do.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use diesel_session::{Now as _, Sessions as _};
use throwaway_postgres::Server;

use crate::support::{Database, Postgres, Sqlite, command, counts, failure, on_each_database, text};

on_each_database! {
    a_missing_table_is_named
    a_foreign_table_is_left_alone
    a_closed_pipe_ends_the_command_in_silence
    nothing_is_coloured_without_a_terminal
}

#[test]
fn a_database_must_be_named() {
    for url in [None, Some("")] {
        let mut list = command(&["list"]);
        url.map(|url| list.env("DATABASE_URL", url));
        assert!(failure(list).contains("set DATABASE_URL"));
    }
    for url in ["oracle://localhost/app", "https://example.com"] {
        assert!(failure(command(&["list", "--database-url", url])).contains("check DATABASE_URL"), "{url}");
    }
}

#[test]
fn the_password_is_never_shown() {
    let urls = [
        "postgres://shop:sesame@127.0.0.1:1/shop",
        "postgres://shop:sesame@127.0.0.1:port/shop",
        "host=127.0.0.1 port=1 user=shop password=sesame",
        "postgres://shop:sesame@127.0.0.1:1/shop?unknown=sesame",
        "user=shop password=sesame port=1 hostaddr=127.0.0.1",
        "host = 127.0.0.1 port = 1 password = sesame",
        "mysql://shop:sesame@localhost/app",
        "postgres:shop:sesame@127.0.0.1/shop",
        "shop:sesame@127.0.0.1/shop",
    ];
    let directory = tempfile::tempdir().unwrap();
    // Each waits for a server that is not there.
    thread::scope(|scope| {
        for (url, name) in urls.iter().flat_map(|url| [(url, "check"), (url, "migrate")]) {
            let mut command = command(&[name, "--database-url", url]);
            command.current_dir(&directory);
            scope.spawn(|| {
                let line = failure(command);
                assert!(!line.contains("sesame"), "{line}");
            });
        }
    });
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "no file has such a name");
}

#[test]
fn a_missing_file_is_not_created() {
    let database = Sqlite::new();
    for arguments in [&["check"][..], &["migrate", "--dry-run"], &["list"], &["sweep"], &["revert", "--yes"]]
    {
        let line = database.fails(arguments);
        assert!(line.starts_with("there is no SQLite file"), "{line}");
        assert!(!database.path().exists());
    }
    for scheme in ["file:", "sqlite://"] {
        let line =
            failure(command(&["list", "--database-url", &format!("{scheme}{}?mode=rwc", database.url())]));
        assert!(line.starts_with("there is no SQLite file"), "{line}");
        assert!(!database.path().exists());
    }
    database.run(&["migrate"]);
    assert!(database.path().exists());
}

#[test]
fn options_for_postgres_are_refused_on_sqlite() {
    let database = Sqlite::new();
    assert_eq!(
        database.fails(&["migrate", "--schema", "shop"]),
        "--schema is for PostgreSQL only: leave it out"
    );
    assert_eq!(
        database.fails(&["migrate", "--table-owner", "shop"]),
        "--table-owner is for PostgreSQL only: leave it out"
    );
}

#[test]
fn a_file_that_is_no_database_is_an_error() {
    let database = Sqlite::new();
    fs::write(database.path(), "not a database, only a text of some length ".repeat(100)).unwrap();
    for arguments in [["check"], ["list"], ["migrate"]] {
        let line = database.fails(&arguments);
        assert!(line.contains("not a database"), "{line}");
    }
}

/// These are wrong command lines, so the status is 2, and nothing asks the database.
#[test]
fn malformed_arguments_are_refused_with_their_reason() {
    for (arguments, reason) in [
        (&["end", "--handle", "xyz"][..], "not a handle"),
        (&["end", "--owner", "alice", "--keep", "xyz"], "not a handle"),
        (&["list", "--after", "xyz"], "not a cursor"),
        (&["list", "--limit", "0"], "0 is not in 1.."),
        (&["sweep", "--every", "soon"], "expected number"),
        (&["sweep", "--once", "--every", "1h"], "cannot be used with"),
        (&["list", "--timeout", "long"], "expected number"),
        (&["list", "--timeout", "1m", "--pgbouncer"], "cannot be used with"),
        (&["import"], "required arguments"),
        (&["import", "--from", "elsewhere"], "tower-sessions-sqlx"),
        (&["end", "--yes"], "required arguments"),
        (&["end", "--all", "--owner", "alice"], "cannot be used with"),
        (&["end", "--all", "--keep", &"0".repeat(32)], "cannot be used with"),
        (&["end", "--keep", &"0".repeat(32)], "required arguments"),
    ] {
        let output = command(arguments).output().unwrap();
        let line = text(output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(line.contains(reason), "{arguments:?}: {line}");
    }
}

fn a_missing_table_is_named<D: Database>(database: &D) {
    database.run_sql("CREATE TABLE other (id INTEGER)");
    for arguments in
        [&["list"][..], &["sweep"], &["end", "--all", "--yes"], &["end", "--owner", "alice", "--yes"]]
    {
        let line = database.fails(arguments);
        assert!(line.starts_with("there is no session table: run `diesel-session migrate`"), "{line}");
    }
}

fn a_foreign_table_is_left_alone<D: Database>(database: &D) {
    database.run_sql("CREATE TABLE session (id INTEGER PRIMARY KEY, title TEXT)");
    let line = database.fails(&["migrate"]);
    assert!(line.starts_with("`session` is not a session table"), "{line}");
    for arguments in [&["list"][..], &["sweep"], &["end", "--all", "--yes"], &["check"]] {
        database.fails(arguments);
    }
    database.run_sql("INSERT INTO session (id, title) VALUES (1, 'still here')");
}

fn a_closed_pipe_ends_the_command_in_silence<D: Database>(database: &D) {
    let store = database.migrated();
    // More than a pipe holds.
    let label = "x".repeat(250);
    for _ in 0..400 {
        let key = store.generate(None, None).unwrap();
        store.set_label(&key, Some(&label)).unwrap();
    }
    let mut list = database.command(&["list", "--limit", "1000"]);
    let mut list = list.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(list.stdout.take());
    let output = list.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(output.stderr)), (Some(141), String::new()));
}

fn nothing_is_coloured_without_a_terminal<D: Database>(database: &D) {
    let store = database.migrated();
    store.generate_for("alice", None, None).unwrap();
    for arguments in [&["list"][..], &["sweep"], &["check"], &["end", "--all"], &["end"]] {
        let output = database.command(arguments).output().unwrap();
        let printed = text(output.stdout) + &text(output.stderr);
        assert!(!printed.contains('\u{1b}'), "{printed:?}");
    }
    assert_eq!(counts(&store), (1, 0));
}

#[test]
fn a_server_that_is_down_or_silent_is_an_error_in_time() {
    let mut server = Server::start(&[]).unwrap();
    let url = server.url("postgres");
    let check = || {
        let mut check = command(&["check", "--timeout", "1s"]);
        check.env("DATABASE_URL", &url);
        let started = Instant::now();
        let line = failure(check);
        assert!(started.elapsed() < Duration::from_secs(20));
        line
    };
    server.pause().unwrap();
    let silent = check();
    assert!(silent.contains("no database connection within"), "{silent}");
    server.resume().unwrap();
    server.stop().unwrap();
    let down = check();
    assert!(down.contains("no database connection within") && down.contains("onnect"), "{down}");
}

#[test]
fn missing_rights_are_an_error() {
    let database = Postgres::new();
    database.migrated();
    database.run_sql("CREATE ROLE guest LOGIN");
    let url = database.url().replace("postgres@", "guest@");
    assert_ne!(url, database.url());
    for arguments in [["list"], ["sweep"], ["migrate"], ["check"]] {
        let mut guest = command(&arguments);
        guest.env("DATABASE_URL", &url);
        let line = failure(guest);
        assert!(line.contains("permission denied") || line.contains("not a member"), "{arguments:?}: {line}");
    }
}
