//! Calls that the database refuses: its disk is full, a timeout has passed, or another transaction came first.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for runs with --nocapture")]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use diesel::prelude::*;
use diesel::result::DatabaseErrorKind::SerializationFailure;
use diesel::result::Error::DatabaseError;
use diesel_session::{DieselSession, Error, Now};
use diesel_session_faults::{Clients, DURABLE, Kind, Store};
use throwaway_postgres::Server;

use crate::support::{PROGRAM, VALUE_SIZE, holds, on_each_store};

on_each_store! {
    a_full_disk_loses_nothing_acknowledged
    a_call_that_hits_the_statement_timeout_has_no_effect
    a_call_that_hits_the_lock_timeout_has_no_effect
    conflicts_under_repeatable_read_lose_nothing_acknowledged
}

/// The size of a value, in bytes: more than a page holds, so that the disk is soon full.
const LARGE: usize = 20_000;

fn a_full_disk_loses_nothing_acknowledged(kind: Kind) {
    let mut server = Server::start(&DURABLE).unwrap();
    let store = Store::new(kind, &server.url("postgres"));
    server.stop().unwrap();
    server.start_again_with_files_up_to(17).unwrap();
    let mut clients = Clients::new(PROGRAM.as_ref(), LARGE);
    clients.refusals_are_final();
    clients.start(&store, 8).unwrap();
    clients.note_fault();
    clients.wait_for_errors(50).unwrap();
    // Reads and the ends of sessions still work.
    clients.wait_for(50).unwrap();
    clients.stop().unwrap();
    assert!(server.log().unwrap().contains("File too large"));
    server.stop().unwrap();
    server.start_again().unwrap();
    clients.start(&store, 8).unwrap();
    clients.wait_for(500).unwrap();
    let report = holds(clients, &store);
    assert!(report.errors.contains_key("Database(Unknown)"), "{report}");
}

#[test]
fn a_full_disk_loses_nothing_acknowledged_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sessions.sqlite");
    let mut clients = Clients::new(PROGRAM.as_ref(), LARGE);
    clients.refusals_are_final();
    clients.start(&Store::new(Kind::SqliteOfFewPages, file.to_str().unwrap()), 4).unwrap();
    clients.note_fault();
    clients.wait_for_errors(50).unwrap();
    clients.wait_for(50).unwrap();
    clients.stop().unwrap();
    let full = Store::new(Kind::SqliteOfFewPages, file.to_str().unwrap()).open().unwrap();
    // The clients may have deleted sessions before they stopped, and left room on the disk.
    let mut let_in = Vec::new();
    let value = "x".repeat(LARGE);
    let mut generate = || full.generate(&value, None).map(|key| let_in.push(key));
    let refusal = (0..1_000).find_map(|_| generate().err()).unwrap();
    for key in &let_in {
        full.clear(key).unwrap();
    }
    let reason = std::error::Error::source(&refusal).unwrap().to_string();
    assert_eq!(reason, "database or disk is full");
    drop(full);
    let store = Store::new(Kind::Sqlite, file.to_str().unwrap());
    clients.start(&store, 4).unwrap();
    clients.wait_for(500).unwrap();
    let report = holds(clients, &store);
    assert!(report.errors.contains_key("Database(Unknown)"), "{report}");
}

fn a_call_that_hits_the_statement_timeout_has_no_effect(kind: Kind) {
    let server = Server::start(&DURABLE).unwrap();
    let bound = Duration::from_secs(5);
    let store = Store::new(kind, &server.url("postgres")).timeouts(bound, Duration::from_millis(300));
    times_out(&server, &store, "LOCK TABLE session IN ACCESS EXCLUSIVE MODE", "statement timeout");
}

fn a_call_that_hits_the_lock_timeout_has_no_effect(kind: Kind) {
    let server = Server::start(&DURABLE).unwrap();
    let address = format!("{}&options=-c%20lock_timeout%3D200ms", server.url("postgres"));
    times_out(&server, &Store::new(kind, &address), "SELECT FROM session FOR UPDATE", "lock timeout");
}

/// Repeatedly locks what the clients need.
fn times_out(server: &Server, store: &Store, lock: &str, why: &str) {
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.refusals_are_final();
    clients.start(store, 8).unwrap();
    let mut locker = PgConnection::establish(&server.url("postgres")).unwrap();
    for _ in 0..3 {
        clients.wait_for(500).unwrap();
        clients.note_fault();
        locker
            .transaction(|locker| {
                diesel::sql_query(lock).execute(locker)?;
                clients.wait_for_errors(8).unwrap();
                QueryResult::Ok(())
            })
            .unwrap();
    }
    clients.wait_for(500).unwrap();
    let report = holds(clients, store);
    assert!(report.errors.keys().all(|kind| kind == "Database(Unknown)"), "{report}");
    let log = server.log().unwrap();
    let ended = log.matches("canceling statement due to").count();
    assert!(
        ended >= 24 && ended == log.matches(&format!("canceling statement due to {why}")).count(),
        "{ended}"
    );
}

/// The clients' own transactions have the same isolation level. All threads of a client increment one session.
fn conflicts_under_repeatable_read_lose_nothing_acknowledged(kind: Kind) {
    let server = Server::start(&DURABLE).unwrap();
    let strict = "options=-c%20default_transaction_isolation%3Drepeatable%5C%20read";
    let store = Store::new(kind, &format!("{}&{strict}", server.url("postgres")));
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.refusals_are_final();
    clients.start(&store, 8).unwrap();
    clients.start(&store, 8).unwrap();
    clients.wait_for(3_000).unwrap();
    let report = holds(clients, &store);
    assert!(report.errors.keys().all(|kind| kind == "Database(SerializationFailure)"), "{report}");
    let conflicts = server.log().unwrap().matches("could not serialize access").count();
    println!("serialization failures {conflicts}");
    assert!(conflicts > 0, "no transactions conflicted");
}

diesel::table! {
    /// The application's own table.
    visit (id) {
        /// Generated by the database.
        id -> Integer,
    }
}

/// Callers count visits in the session and in the application's table, in one transaction under REPEATABLE READ. They
/// retry if the database reports that another transaction came first.
#[test]
fn callers_whose_transactions_conflict_lose_no_count() {
    const THREADS: u32 = 8;
    const VISITS: u32 = 50;
    let server = Server::start(&DURABLE).unwrap();
    let sessions = DieselSession::<PgConnection>::connect(&server.url("postgres")).unwrap();
    sessions.migrate().unwrap();
    let key = sessions.generate(Some("0"), None).unwrap();
    let mut conn = PgConnection::establish(&server.url("postgres")).unwrap();
    diesel::sql_query("CREATE TABLE visit (id serial PRIMARY KEY)").execute(&mut conn).unwrap();

    let conflicts = AtomicU32::new(0);
    let visit = || {
        let mut conn = PgConnection::establish(&server.url("postgres")).unwrap();
        for _ in 0..VISITS {
            loop {
                let visited = conn.build_transaction().repeatable_read().run(|conn| {
                    let (count, _left) = sessions.on(conn).get(&key)?;
                    let next = count.parse::<u32>().unwrap() + 1;
                    sessions.on(conn).set(&key, &next.to_string(), None)?;
                    diesel::insert_into(visit::table).default_values().execute(conn)?;
                    Ok::<_, Error>(())
                });
                match visited {
                    Ok(()) => break,
                    Err(Error::Database(DatabaseError(SerializationFailure, _))) => {
                        conflicts.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(visit))));

    let acknowledged = THREADS * VISITS;
    assert_eq!(sessions.get(&key).unwrap().0, acknowledged.to_string());
    assert_eq!(visit::table.count().get_result(&mut conn), Ok(i64::from(acknowledged)));
    let conflicts = conflicts.into_inner();
    assert!(conflicts > 0, "no transactions conflicted");
    println!("acknowledged {acknowledged}, serialization failures {conflicts}, lost 0");
}
