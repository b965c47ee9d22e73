//! Faults of MariaDB: the server is killed, shut down or silent; connections are killed; locks, space and the right to
//! write are missing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for runs with --nocapture")]

mod support;

use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel_session_faults::{Clients, Report, Store, mariadb};
use throwaway_mariadb::Server;

use crate::support::{PROGRAM, VALUE_SIZE, holds};

fn root(server: &Server) -> MysqlConnection {
    MysqlConnection::establish(&server.url("app")).unwrap()
}

/// Loads the store, injects a fault three times, and looks for everything that was acknowledged.
fn survives(store: &Store, mut fault: impl FnMut(&mut Clients)) -> Report {
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(store, 8).unwrap();
    for _ in 0..3 {
        clients.wait_for(500).unwrap();
        clients.note_fault();
        fault(&mut clients);
    }
    clients.wait_for(500).unwrap();
    holds(clients, store)
}

/// Asserts that no call failed in another way.
fn only(report: &Report, kinds: &[&str]) {
    assert!(report.errors.keys().all(|kind| kinds.contains(&&**kind)), "{report}");
}

/// The errors of a call that lost its connection and found no server, or cannot know whether it took effect.
const GONE: [&str; 4] = ["OutcomeUnknown", "ConnectionLost", "Interrupted", "PoolTimeout"];

#[test]
fn killing_the_server_loses_nothing_acknowledged() {
    let (mut server, store) = mariadb::start(&[]).unwrap();
    let report = survives(&store, |_| {
        server.kill().unwrap();
        server.start_again().unwrap();
    });
    only(&report, &GONE);
}

#[test]
fn a_shutdown_loses_nothing_acknowledged() {
    let (mut server, store) = mariadb::start(&[]).unwrap();
    let report = survives(&store, |_| {
        server.stop().unwrap();
        server.start_again().unwrap();
    });
    only(&report, &GONE);
}

/// For less time than a call may take.
#[test]
fn a_server_that_stands_still_loses_nothing_acknowledged() {
    let (mut server, store) = mariadb::start(&[]).unwrap();
    let report = survives(&store, |_| {
        server.pause().unwrap();
        thread::sleep(Duration::from_secs(2));
        server.resume().unwrap();
    });
    only(&report, &GONE);
}

/// For more time than a call may take. Some of the calls take effect later.
#[test]
fn a_silent_server_hangs_no_call() {
    let (mut server, store) = mariadb::start(&[]).unwrap();
    let second = Duration::from_secs(1);
    let store = store.timeouts(second, second);
    let report = survives(&store, |clients| {
        server.pause().unwrap();
        // Calls fail either while they run or while they wait for a connection.
        clients.wait_for_errors(16).unwrap();
        server.resume().unwrap();
    });
    only(&report, &[&GONE[..], &["ServerTimeout"]].concat());
    assert!(report.longest_call < 3 * second, "{report}");
}

#[test]
fn killing_connections_loses_nothing_acknowledged() {
    let (_server, store) = mariadb::start(&[]).unwrap();
    let report = survives(&store, |_| mariadb::end_connections(&store.address).unwrap());
    only(&report, &["OutcomeUnknown"]);
}

#[test]
fn killing_a_client_loses_nothing_acknowledged() {
    let (_server, store) = mariadb::start(&[]).unwrap();
    let report = survives(&store, |clients| {
        clients.kill_one().unwrap();
        clients.start(&store, 8).unwrap();
    });
    assert!(report.errors.is_empty(), "{report}");
}

#[test]
fn a_call_that_waits_too_long_for_a_lock_has_no_effect() {
    let (server, store) = mariadb::start(&[]).unwrap();
    let store = store.timeouts(Duration::from_secs(5), Duration::from_secs(1));
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.refusals_are_final();
    clients.start(&store, 8).unwrap();
    let mut locker = root(&server);
    for _ in 0..3 {
        clients.wait_for(500).unwrap();
        clients.note_fault();
        locker.batch_execute("BEGIN; SELECT COUNT(*) FROM session FOR UPDATE").unwrap();
        clients.wait_for_errors(8).unwrap();
        locker.batch_execute("ROLLBACK").unwrap();
    }
    clients.wait_for(500).unwrap();
    let report = holds(clients, &store);
    only(&report, &["Database(Unknown)"]);
}

/// The server's file for tables may not grow beyond 40 MiB.
#[test]
fn a_full_disk_loses_nothing_acknowledged() {
    const LARGE: usize = 20_000;
    let (mut server, store) = mariadb::start(&[
        "--innodb-file-per-table=0",
        "--innodb-data-file-path=ibdata1:12M:autoextend:max:40M",
        "--innodb-autoextend-increment=1",
    ])
    .unwrap();
    let mut clients = Clients::new(PROGRAM.as_ref(), LARGE);
    clients.refusals_are_final();
    clients.start(&store, 8).unwrap();
    clients.note_fault();
    clients.wait_for_errors(50).unwrap();
    // Reads and the ends of sessions still work.
    clients.wait_for(50).unwrap();
    clients.stop().unwrap();
    server.stop().unwrap();
    server.start_again().unwrap();
    let report = holds(clients, &store);
    assert!(report.errors.contains_key("Database(Unknown)"), "{report}");
}

/// As during a failover. The user of a web application may not write then.
#[test]
fn a_server_that_takes_no_writes_loses_nothing_acknowledged() {
    let (server, store) = mariadb::start(&[]).unwrap();
    let mut root = root(&server);
    root.batch_execute("CREATE USER app@localhost; GRANT ALL ON app.* TO app@localhost").unwrap();
    let store = Store { address: store.address.replace("//root@", "//app@"), ..store };
    let report = survives(&store, |clients| {
        root.batch_execute("SET GLOBAL read_only = 1").unwrap();
        clients.wait_for_errors(8).unwrap();
        root.batch_execute("SET GLOBAL read_only = 0").unwrap();
    });
    // The server may take writes again before the store asks why it refused one.
    only(&report, &["ReadOnly", "Database(Unknown)", "OutcomeUnknown"]);
    assert!(report.errors["ReadOnly"] > 0, "{report}");
}
