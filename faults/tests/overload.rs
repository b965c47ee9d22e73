//! More callers than the store can serve, and a server that does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for whoever asks with --nocapture")]

mod support;

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_session::Error;
use diesel_session_faults::{Clients, DURABLE, Kind, Store};
use throwaway_postgres::Server;

use crate::support::{PROGRAM, VALUE_SIZE, holds, on_each_store};

on_each_store! {
    five_hundred_threads_on_eight_connections_end_in_time
    five_hundred_threads_that_nobody_can_serve_are_refused_in_time
    a_server_that_stands_still_is_left_in_time_and_serves_again
    a_read_is_answered_although_every_connection_waits_for_a_lock
}

/// Waits until so many others wait for a lock.
fn wait_for_waiters(watcher: &mut PgConnection, waiters: usize) {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let started = Instant::now();
    while dsl::sql::<BigInt>(count).get_result::<i64>(watcher).unwrap() < i64::try_from(waiters).unwrap() {
        assert!(started.elapsed() < Duration::from_secs(60), "nobody waits for a lock");
        thread::yield_now();
    }
}

const SHORT: Duration = Duration::from_secs(1);

/// What a call may take beyond its bound where 500 threads wait for two processors.
const TURN: Duration = Duration::from_secs(5);

fn five_hundred_threads_on_eight_connections_end_in_time(kind: Kind) {
    const FEW: usize = 8;
    let server = Server::start(&DURABLE).unwrap();
    let store = Store::new(kind, &server.url("postgres"));
    let bound = store.connection_timeout + store.statement_timeout;
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(&store, FEW).unwrap();
    clients.wait_for(1_000).unwrap();
    let before = calls_a_second(&mut clients);
    clients.note_fault();
    clients.set_threads(500).unwrap();
    clients.wait_for(1_000).unwrap();
    let overloaded = calls_a_second(&mut clients);
    clients.set_threads(FEW).unwrap();
    // The same store, and what else the machine does comes and goes.
    let mut after = calls_a_second(&mut clients);
    let started = Instant::now();
    while after < 0.8 * before {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{before:.0} calls a second, and then {after:.0}"
        );
        after = calls_a_second(&mut clients);
    }
    let report = holds(clients, &store);
    println!("calls a second: before {before:.0}, overloaded {overloaded:.0}, after {after:.0}");
    assert!(report.errors.keys().all(|kind| kind == "PoolTimeout"), "{report}");
    assert!(report.longest_call < bound + TURN, "{report}");
    assert!(report.peak_memory < 200 * 1024, "{report}");
}

/// Somebody else has locked the table: eight wait for that, and the others for a connection.
fn five_hundred_threads_that_nobody_can_serve_are_refused_in_time(kind: Kind) {
    let server = Server::start(&DURABLE).unwrap();
    let store = Store::new(kind, &server.url("postgres")).timeouts(SHORT, SHORT);
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(&store, 500).unwrap();
    clients.wait_for(500).unwrap();
    let mut locker = PgConnection::establish(&server.url("postgres")).unwrap();
    clients.note_fault();
    locker.begin_test_transaction().unwrap();
    diesel::sql_query("LOCK TABLE session IN ACCESS EXCLUSIVE MODE").execute(&mut locker).unwrap();
    clients.wait_for_errors(1_000).unwrap();
    drop(locker);
    clients.wait_for(500).unwrap();
    let report = holds(clients, &store);
    let kinds = ["PoolTimeout", "Database(Unknown)", "ServerTimeout"];
    assert!(report.errors.keys().all(|kind| kinds.contains(&&**kind)), "{report}");
    assert!(report.errors["PoolTimeout"] > 500, "{report}");
    assert!(report.longest_call < 2 * SHORT + TURN, "{report}");
}

fn calls_a_second(clients: &mut Clients) -> f64 {
    const CALLS: u32 = 3_000;
    let started = Instant::now();
    clients.wait_for(u64::from(CALLS)).unwrap();
    f64::from(CALLS) / started.elapsed().as_secs_f64()
}

fn a_server_that_stands_still_is_left_in_time_and_serves_again(kind: Kind) {
    let mut server = Server::start(&DURABLE).unwrap();
    let store = Store::new(kind, &server.url("postgres")).timeouts(SHORT, SHORT);
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(&store, 32).unwrap();
    for _ in 0..2 {
        clients.wait_for(500).unwrap();
        clients.note_fault();
        server.pause().unwrap();
        // In the middle of a call, or without a connection.
        clients.wait_for_errors(64).unwrap();
        server.resume().unwrap();
    }
    clients.wait_for(500).unwrap();
    let report = holds(clients, &store);
    assert!(report.errors.keys().all(|kind| kind == "PoolTimeout" || kind == "ServerTimeout"), "{report}");
    assert!(report.longest_call < 3 * SHORT, "{report}");
}

fn a_read_is_answered_although_every_connection_waits_for_a_lock(kind: Kind) {
    const WRITERS: usize = 4;
    let server = Server::start(&DURABLE).unwrap();
    let connection = Duration::from_secs(4);
    let store = Store::new(kind, &server.url("postgres")).pool_size(4).timeouts(connection, SHORT);
    let target = store.open().unwrap();
    let locked = target.generate("locked", None).unwrap();
    let read = target.generate("read", None).unwrap();

    // Those that reads share wait for no lock.
    let shared = if kind == Kind::Pipelined { 2 } else { 0 };
    for _ in 0..WRITERS {
        target.get(&read).unwrap();
    }

    let mut holder = PgConnection::establish(&server.url("postgres")).unwrap();
    let mut watcher = PgConnection::establish(&server.url("postgres")).unwrap();
    holder.begin_test_transaction().unwrap();
    diesel::sql_query("SELECT FROM session FOR UPDATE").execute(&mut holder).unwrap();
    let (answer, answers) = channel();
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            let (answer, target) = (answer.clone(), &target);
            scope.spawn(move || answer.send(target.set(&locked, "written")).unwrap());
        }
        wait_for_waiters(&mut watcher, WRITERS - shared);
        let started = Instant::now();
        assert_eq!(target.get(&read).unwrap().0, "read");
        assert!(started.elapsed() < connection + SHORT, "{:?}", started.elapsed());
        println!("read after {:.1} s", started.elapsed().as_secs_f32());
    });
    drop(answer);
    let refused =
        answers.iter().inspect(|answer| assert!(matches!(answer, Err(Error::Database(_))), "{answer:?}"));
    assert_eq!(refused.count(), WRITERS);
    drop(holder);
    target.set(&locked, "written").unwrap();
}
