//! Only the database's clock counts. In the original (fault 6), the server wrote dates by its own clock, and the client
//! compared them with the client's clock.

use std::process::Command;

use diesel::prelude::*;
use diesel_session::{Error, Now as _};

use crate::support::{Database, MariaDb, Sql, example};

/// Runs the quickstart with a clock that is wrong by so much.
fn quickstart_sees_the_servers_time(shift: &str, url: &str) {
    let quickstart = Command::new("faketime")
        .args(["-f", shift])
        .arg(example("quickstart"))
        .env("DATABASE_URL", url)
        .output()
        .expect("faketime is installed");
    let output = String::from_utf8_lossy(&quickstart.stdout);
    assert!(quickstart.status.success(), "{output}{}", String::from_utf8_lossy(&quickstart.stderr));
    assert!(output.contains("gone, by the database's clock"), "{output}");
    let left: u32 = output.split("with ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((1_740..=1_800).contains(&left), "of half an hour: {output}");
}

#[test]
fn a_clients_clock_hours_ahead_or_behind_changes_nothing_on_mariadb() {
    for shift in ["+2h", "-2h"] {
        let database = MariaDb::new();
        quickstart_sees_the_servers_time(shift, &database.url);
        // The table still holds the session of one second, which the server has dated.
        let mut conn = database.conn();
        assert_eq!(conn.number("SELECT count(*) FROM session"), 1);
        let now = "(UNIX_TIMESTAMP() * 1000)";
        let is_dated = format!("ABS({now} - expire_date) < 60000 AND ABS({now} - created_on) < 60000");
        assert!(conn.yes(&format!("SELECT {is_dated} FROM session")));
    }
}

#[test]
fn a_clients_clock_hours_ahead_or_behind_changes_nothing() {
    for shift in ["+2h", "-2h"] {
        let database = Database::new();
        quickstart_sees_the_servers_time(shift, &database.url);
        // The table still holds the session of one second, which the server has dated.
        let mut conn = database.conn();
        assert_eq!(conn.number("SELECT count(*) FROM session"), 1);
        assert!(conn.yes("SELECT bool_and(abs(extract(epoch FROM now() - expire_date)) < 60 AND abs(extract(epoch FROM now() - created_on)) < 60) FROM session"));
    }
}

#[test]
fn a_session_expires_inside_a_long_transaction() {
    let database = Database::new();
    let store = database.store();
    let mut conn = store.pool().get().unwrap();
    conn.begin_test_transaction().unwrap();
    let key = store.on(&mut conn).generate(Some("x"), Some(chrono::TimeDelta::milliseconds(100))).unwrap();
    // `now()` does not move within a transaction. The clock that decides about sessions does.
    conn.run("SELECT pg_sleep(0.2)");
    assert!(matches!(store.on(&mut conn).get(&key), Err(Error::NotFound)));
}
