//! Crashes: the test kills the server or a client.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for runs with --nocapture")]

mod support;

use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_session_faults::{Clients, DURABLE, Kind, Store};
use throwaway_postgres::Server;

use crate::support::{PROGRAM, VALUE_SIZE, holds, on_each_store};

on_each_store! {
    killing_the_server_loses_nothing_acknowledged
    killing_all_server_processes_loses_nothing_acknowledged
    an_immediate_shutdown_loses_nothing_acknowledged
    killing_a_client_loses_nothing_acknowledged
}

fn killing_the_server_loses_nothing_acknowledged(kind: Kind) {
    the_server_goes(kind, |server| server.kill().unwrap());
}

/// A client that waits for a COMMIT gets no answer. If only the main process is killed, the others answer before they
/// notice.
fn killing_all_server_processes_loses_nothing_acknowledged(kind: Kind) {
    the_server_goes(kind, |server| server.kill_all().unwrap());
}

fn an_immediate_shutdown_loses_nothing_acknowledged(kind: Kind) {
    the_server_goes(kind, |server| server.stop().unwrap());
}

fn the_server_goes(kind: Kind, go: impl Fn(&mut Server)) {
    let mut server = Server::start(&DURABLE).unwrap();
    let store = Store::new(kind, &server.url("postgres"));
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(&store, 8).unwrap();
    for _ in 0..3 {
        clients.wait_for(500).unwrap();
        clients.note_fault();
        go(&mut server);
        server.start_again().unwrap();
    }
    clients.wait_for(500).unwrap();
    let report = holds(clients, &store);
    // If the server is back well before a call's deadline, the store retries every call that it can.
    let is_back_in_time = report.longest_outage < store.connection_timeout / 2;
    let kinds = if is_back_in_time {
        &["OutcomeUnknown"][..]
    } else {
        &["OutcomeUnknown", "ConnectionLost", "Interrupted", "PoolTimeout"]
    };
    assert!(report.errors.keys().all(|kind| kinds.contains(&&**kind)), "{report}");
}

fn killing_a_client_loses_nothing_acknowledged(kind: Kind) {
    let server = Server::start(&DURABLE).unwrap();
    clients_go(&Store::new(kind, &server.url("postgres")));
}

#[test]
fn killing_a_client_loses_nothing_acknowledged_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sessions.sqlite");
    let file = file.to_str().unwrap();
    clients_go(&Store::new(Kind::Sqlite, file));
    let mut conn = SqliteConnection::establish(file).unwrap();
    assert_eq!(dsl::sql::<Text>("PRAGMA integrity_check").get_result(&mut conn), Ok("ok".to_owned()));
}

/// One client is killed, and the other goes on.
fn clients_go(store: &Store) {
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    for _ in 0..3 {
        clients.start(store, 4).unwrap();
        clients.start(store, 4).unwrap();
        clients.wait_for(1_000).unwrap();
        clients.kill_one().unwrap();
        clients.wait_for(500).unwrap();
        clients.kill_one().unwrap();
    }
    let report = holds(clients, store);
    assert!(report.errors.is_empty(), "{report}");
}

/// Tests that the ledger sees a loss: this server acknowledges writes before they are on disk.
#[test]
fn a_server_that_acknowledges_too_early_is_found_out() {
    let early = ["fsync=on", "synchronous_commit=off", "wal_writer_delay=10s", "autovacuum=off"];
    let mut server = Server::start(&early).unwrap();
    let store = Store::new(Kind::Blocking, &server.url("postgres"));
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(&store, 8).unwrap();
    // Each kill loses the last page of the server's log, which may be almost empty.
    for _ in 0..5 {
        clients.wait_for(500).unwrap();
        clients.note_fault();
        server.kill_all().unwrap();
        server.start_again().unwrap();
    }
    clients.wait_for(500).unwrap();
    let report = clients.settle(&*store.open().unwrap()).unwrap();
    println!("{report}");
    assert!(report.lost > 0 && !report.holds(), "{report}");
}
