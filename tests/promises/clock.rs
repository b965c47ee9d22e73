//! Only the database's clock counts. In the original (fault 6), the server wrote dates by its own clock, and the client
//! compared them with the client's clock.

use std::process::Command;

use diesel::prelude::*;
use diesel_session::{DieselSession, Error, Now as _, TimeDelta};

use crate::support::{Database, MariaDb, Sql, example};

/// Runs the quickstart with a clock that is wrong by so much. `is_dated` is SQL: whether the dates of the session that is
/// left are close to the server's time.
fn only_the_servers_clock_counts(shift: &str, url: &str, conn: &mut impl Sql, is_dated: &str) {
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
    // The table still holds the session of one second, which the server has dated.
    assert_eq!(conn.number("SELECT count(*) FROM session"), 1);
    assert!(conn.yes(is_dated));
}

#[test]
fn a_clients_clock_hours_ahead_or_behind_changes_nothing() {
    for shift in ["+2h", "-2h"] {
        let database = Database::new();
        let is_dated = "SELECT bool_and(abs(extract(epoch FROM now() - expire_date)) < 60 \
                        AND abs(extract(epoch FROM now() - created_on)) < 60) FROM session";
        only_the_servers_clock_counts(shift, &database.url, &mut database.conn(), is_dated);
    }
}

#[test]
fn a_clients_clock_hours_ahead_or_behind_changes_nothing_on_mariadb() {
    for shift in ["+2h", "-2h"] {
        let database = MariaDb::new();
        let is_dated = "SELECT ABS(UNIX_TIMESTAMP() * 1000 - expire_date) < 60000 \
                        AND ABS(UNIX_TIMESTAMP() * 1000 - created_on) < 60000 FROM session";
        only_the_servers_clock_counts(shift, &database.url, &mut database.conn(), is_dated);
    }
}

/// The time of the transaction does not move within it. The clock that decides about sessions does.
fn a_session_expires_inside_a_long_transaction<C: Sql>(store: &DieselSession<C>, sleep: &str) {
    let mut conn = store.pool().get().unwrap();
    conn.begin_test_transaction().unwrap();
    let key = store.on(&mut conn).generate(Some("x"), Some(TimeDelta::milliseconds(100))).unwrap();
    conn.run(sleep);
    assert!(matches!(store.on(&mut conn).get(&key), Err(Error::NotFound)));
}

#[test]
fn a_session_expires_inside_a_long_transaction_on_postgres_and_mariadb() {
    a_session_expires_inside_a_long_transaction(&Database::new().store(), "SELECT pg_sleep(0.2)");
    a_session_expires_inside_a_long_transaction(&MariaDb::new().store(), "DO SLEEP(0.2)");
}
