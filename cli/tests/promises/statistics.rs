//! `stats`.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use diesel::PgConnection;
use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel_session::{NewSession, Now as _, Sessions as _, TimeDelta};
use serde_json::{Value, json};

use crate::support::{Database, Postgres, on_each_database, wait_for_a_waiter};

on_each_database! {
    stats_counts_sessions_by_owner_age_time_and_size
    stats_of_an_empty_table_are_zero
    the_report_is_one_file_without_scripts
    a_report_that_cannot_be_written_is_an_error
}

/// Five live sessions, one expired one, and the rest of a renewal.
fn some<D: Database>(database: &D) {
    let store = database.migrated();
    for (owner, value, period) in [
        (Some("alice"), Some("x".repeat(10)), TimeDelta::minutes(5)),
        (Some("alice"), Some("x".repeat(100)), TimeDelta::hours(2)),
        (Some("<b>bob</b>"), Some("é".repeat(600)), TimeDelta::days(2)),
        (None, None, TimeDelta::days(60)),
        (Some("alice"), None, TimeDelta::hours(-2)),
    ] {
        let mut session = NewSession::new().period(period);
        session = owner.map_or(session, |owner| session.owner(owner));
        session = value.as_deref().map_or(session, |value| session.value(value));
        store.generate_with(&session).unwrap();
    }
    let key = store.generate(None, Some(TimeDelta::days(60))).unwrap();
    store.rotate(&key).unwrap();
}

fn stats<D: Database>(database: &D) -> Value {
    serde_json::from_str(&database.run(&["stats", "--json"])).unwrap()
}

/// The numbers of sessions in all buckets.
fn sessions(buckets: &Value) -> Vec<u64> {
    buckets.as_array().unwrap().iter().map(|bucket| bucket["sessions"].as_u64().unwrap()).collect()
}

fn stats_counts_sessions_by_owner_age_time_and_size<D: Database>(database: &D) {
    some(database);
    let stats = stats(database);
    assert_eq!((&stats["live"], &stats["expired"]), (&json!(5), &json!(1)), "{stats}");
    assert_eq!(
        stats["owners"],
        json!([{ "owner": "alice", "sessions": 2 }, { "owner": "<b>bob</b>", "sessions": 1 }])
    );
    assert_eq!(sessions(&stats["age_seconds"]), [5, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(stats["left_seconds"][1]["below"], 600);
    assert_eq!(sessions(&stats["left_seconds"]), [0, 1, 0, 1, 0, 1, 0, 2]);
    assert_eq!(sessions(&stats["value_bytes"]), [2, 1, 1, 0, 1, 0, 0, 0, 0]);
    let started: u64 = sessions(&stats["started"]).iter().sum();
    assert_eq!(started, 5);
    let bytes = |name: &str| stats[name].as_u64().unwrap();
    assert!(bytes("table_bytes") >= 4_096 && bytes("index_bytes") >= 3 * 4_096, "{stats}");
    let estimate = 10 * (bytes("table_bytes") + bytes("index_bytes"));
    assert_eq!(bytes("estimate_for_ten_times_as_many_bytes"), estimate);

    let shown = database.run(&["stats"]);
    for part in ["live                          5", "alice       2", "under 10m       1", "on disk: table "] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

fn stats_of_an_empty_table_are_zero<D: Database>(database: &D) {
    database.migrated();
    let stats = stats(database);
    assert_eq!((&stats["live"], &stats["expired"], &stats["owners"]), (&json!(0), &json!(0), &json!([])));
    database.run(&["stats"]);
}

fn the_report_is_one_file_without_scripts<D: Database>(database: &D) {
    some(database);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.html");
    let path = file.to_str().unwrap();
    assert_eq!(database.run(&["stats", "--html", path]), format!("the report is in {path}\n"));
    let page = fs::read_to_string(&file).unwrap();
    assert_eq!(page.matches("<svg").count(), 3, "{page}");
    assert!(page.contains("&lt;b&gt;bob&lt;/b&gt;") && !page.contains("<b>"), "{page}");
    let links = page.replace("http://www.w3.org/2000/svg", "");
    for foreign in ["<script", "http://", "https://", "src=", "url("] {
        assert!(!links.contains(foreign), "{foreign}: {page}");
    }
    // Without sessions there is nothing to draw of the hours.
    database.run(&["end", "--all", "--yes"]);
    database.run(&["stats", "--html", path]);
    assert_eq!(fs::read_to_string(&file).unwrap().matches("<svg").count(), 2);
}

fn a_report_that_cannot_be_written_is_an_error<D: Database>(database: &D) {
    database.migrated();
    let refused = database.fails(&["stats", "--html", "/nowhere/report.html"]);
    assert!(refused.starts_with("/nowhere/report.html could not be written"), "{refused}");
}

/// Nothing is more exclusive than this lock.
#[test]
fn stats_ends_in_time_if_the_table_is_locked() {
    let database = Postgres::new();
    database.migrated();
    let mut locker = PgConnection::establish(&database.url()).unwrap();
    locker.batch_execute("BEGIN; LOCK TABLE session").unwrap();
    let started = Instant::now();
    let line = database.fails(&["stats", "--timeout", "1s"]);
    assert!(started.elapsed() < Duration::from_secs(20), "{line}");
}

/// The role may be that of a web application, which has no patience.
#[test]
fn the_operators_timeout_counts_more_than_that_of_the_role() {
    let database = Postgres::new();
    database.migrated();
    let mut locker = PgConnection::establish(&database.url()).unwrap();
    locker.batch_execute("ALTER ROLE postgres SET statement_timeout = '50ms'").unwrap();
    locker.batch_execute("BEGIN; LOCK TABLE session").unwrap();
    let line = database.fails(&["stats"]);
    assert!(line.contains("statement timeout"), "{line}");
    let waiting = thread::scope(|scope| {
        let stats = scope.spawn(|| database.run(&["stats", "--timeout", "5m"]));
        // It waits for longer than the role would.
        wait_for_a_waiter(&mut locker, 200);
        locker.batch_execute("COMMIT").unwrap();
        stats.join().unwrap()
    });
    assert!(waiting.contains("live"), "{waiting}");
}

/// It reads while others write.
#[test]
fn stats_waits_for_no_writer() {
    let database = Postgres::new();
    database.migrated();
    let mut writer = PgConnection::establish(&database.url()).unwrap();
    writer.batch_execute("BEGIN; DELETE FROM session; LOCK TABLE session IN EXCLUSIVE MODE").unwrap();
    database.run(&["stats"]);
}
