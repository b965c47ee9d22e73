//! The examples run as their first lines describe.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use diesel::prelude::*;
use throwaway_postgres::Server;

use crate::support::{Database, MariaDb, Sql as _, example, first_page};

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
    assert!(directory.path().join("diesel-session-quickstart.db").exists());
}

#[test]
fn quickstart_runs_on_the_postgres_that_database_url_names() {
    let database = Database::new();
    let output = run(Command::new(example("quickstart")).env("DATABASE_URL", &database.url));
    assert!(output.contains("the PostgreSQL that DATABASE_URL names"), "{output}");
    assert!(output.contains("9. Cleared"), "{output}");
}

#[test]
fn quickstart_runs_on_the_mariadb_that_database_url_names() {
    let database = MariaDb::new();
    let output = run(Command::new(example("quickstart")).env("DATABASE_URL", &database.url));
    assert!(output.contains("the MariaDB that DATABASE_URL names"), "{output}");
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
    let (postgres, mariadb) = (Database::new(), MariaDb::new());
    for (url, first, migrations) in
        [(&postgres.url, "20261122000001", 2), (&mariadb.url, "20261128000001", 1)]
    {
        let mut check = Command::new(example("migrate"));
        check.env("DATABASE_URL", url).arg("--check");
        let refused = check.output().unwrap();
        assert!(!refused.status.success());
        assert!(String::from_utf8_lossy(&refused.stderr).contains(first));
        let said = run(Command::new(example("migrate")).env("DATABASE_URL", url));
        assert_eq!(said, format!("{migrations} migration(s) run\n"));
        assert_eq!(run(&mut check), "up to date\n");
    }
}

/// The server accepts no connection without the right password.
#[test]
fn each_connection_has_a_fresh_password() {
    let server = Server::start(&["password_encryption=scram-sha-256"]).unwrap();
    let mut admin = PgConnection::establish(&server.url("postgres")).unwrap();
    admin.run("CREATE ROLE app LOGIN PASSWORD 'it''s \\secret'");
    admin.run("CREATE DATABASE shop OWNER app");
    admin.run("COPY (SELECT 'local all postgres trust' UNION ALL SELECT 'local all all scram-sha-256') TO PROGRAM 'cat > pg_hba.conf'");
    admin.run("SELECT pg_reload_conf()");
    let address = format!("host={} dbname=shop user=app", server.directory().display());
    let mut program = Command::new(example("fresh_passwords"));
    program.env("DATABASE_ADDRESS", &address).env("DATABASE_PASSWORD", "it's \\secret");
    let output = run(&mut program);
    assert!(output.contains("a connection asks for a password") && output.contains("cart=3"), "{output}");
    let wrong = program.env("DATABASE_PASSWORD", "wrong").output().unwrap();
    assert!(!wrong.status.success());
}

#[test]
fn tenants_find_their_own_sessions_only() {
    let database = Database::new();
    for _ in 0..2 {
        let output = run(Command::new(example("tenants")).env("DATABASE_URL", &database.url));
        assert!(output.contains("tenant_a finds cart=3."), "{output}");
        assert!(output.contains("tenant_b finds no such session."), "{output}");
    }
}

#[test]
fn devices_logs_out_one_and_then_all_others() {
    let output = run(&mut Command::new(example("devices")));
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.contains("this device")).count(), 2, "{output}");
    assert!(
        output.contains("The tablet's next request: there is no live session under this key"),
        "{output}"
    );
    assert!(output.contains("Ended: 1.\n"), "{output}");
    assert!(output.contains("The phone's next request: there is no live session under this key"), "{output}");
    assert!(output.contains("The laptop's: welcome back, cart of the laptop."), "{output}");
    assert_eq!(lines.iter().filter(|line| line.contains("  since ")).count(), 3 + 1, "{output}");
}

#[test]
fn axum_min_counts_each_visitors_visits() {
    counts_each_visitors_visits("axum_min");
}

#[test]
fn actix_min_counts_each_visitors_visits() {
    counts_each_visitors_visits("actix_min");
}

/// One visitor comes twice, and another comes once.
fn counts_each_visitors_visits(program: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Running(
        Command::new(example(program))
            .env("PORT", "0")
            .current_dir(directory.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(server.0.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
    let first = first_page(&address, "");
    assert!(first.ends_with("Visit number 1\n"), "{first}");
    let cookie = first.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite"), "{cookie}");
    let (cookie, _attributes) = cookie.split_once(';').unwrap();
    let second = first_page(&address, cookie);
    assert!(second.ends_with("Visit number 2\n"), "{second}");
    assert!(first_page(&address, "").ends_with("Visit number 1\n"));
}

/// A process that ends when this value is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        assert!(ended.is_ok() || std::thread::panicking(), "{ended:?}");
    }
}

#[test]
fn tracing_prints_the_fields_and_a_sweepers_failure() {
    let output = run(&mut Command::new(example("tracing_min")));
    for expected in [
        "operation=\"rotate\" database=\"sqlite\" outcome=\"ok\" elapsed_us=",
        "operation=\"get\" database=\"sqlite\" outcome=\"not_found\" elapsed_us=",
        "operation=\"set\" database=\"sqlite\" outcome=\"refused\" elapsed_us=",
        "operation=\"delete_expired\" database=\"sqlite\" outcome=\"failed\" elapsed_us=",
        "expired sessions could not be deleted",
    ] {
        assert!(output.contains(expected), "{expected}: {output}");
    }
    assert!(!output.contains("alice") && !output.contains("cart"), "{output}");
}
