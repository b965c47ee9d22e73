//! Overload: more callers than the store can serve, and a server that does not answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for runs with --nocapture")]

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
    calls_of_500_threads_on_8_connections_end_in_time
    calls_of_500_threads_fail_in_time_while_the_table_is_locked
    calls_fail_in_time_while_the_server_hangs_and_succeed_afterwards
    a_read_succeeds_although_every_connection_waits_for_a_lock
}

/// Waits until `waiters` other connections wait for a lock.
fn wait_for_waiters(watcher: &mut PgConnection, waiters: usize) {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let started = Instant::now();
    while dsl::sql::<BigInt>(count).get_result::<i64>(watcher).unwrap() < i64::try_from(waiters).unwrap() {
        assert!(started.elapsed() < Duration::from_secs(60), "no connection waits for a lock");
        thread::yield_now();
    }
}

const SHORT: Duration = Duration::from_secs(1);

/// How much longer than its deadline a call may take, because 500 threads wait for two processors.
const TURN: Duration = Duration::from_secs(5);

fn calls_of_500_threads_on_8_connections_end_in_time(kind: Kind) {
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
    // Waits until the same store is as fast as before, because other work of the machine comes and goes.
    let mut after = calls_a_second(&mut clients);
    let started = Instant::now();
    while after < 0.8 * before {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{before:.0} calls per second before, and {after:.0} after"
        );
        after = calls_a_second(&mut clients);
    }
    let report = holds(clients, &store);
    println!("calls per second: before {before:.0}, overloaded {overloaded:.0}, after {after:.0}");
    assert!(report.errors.keys().all(|kind| kind == "PoolTimeout"), "{report}");
    assert!(report.longest_call < bound + TURN, "{report}");
    assert!(report.peak_memory < 200 * 1024, "{report}");
}

/// Another transaction has locked the table. Eight calls wait for its lock, and the others wait for a connection.
fn calls_of_500_threads_fail_in_time_while_the_table_is_locked(kind: Kind) {
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

fn calls_fail_in_time_while_the_server_hangs_and_succeed_afterwards(kind: Kind) {
    let mut server = Server::start(&DURABLE).unwrap();
    let store = Store::new(kind, &server.url("postgres")).timeouts(SHORT, SHORT);
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(&store, 32).unwrap();
    for _ in 0..2 {
        clients.wait_for(500).unwrap();
        clients.note_fault();
        server.pause().unwrap();
        // Calls fail either while they run or while they wait for a connection.
        clients.wait_for_errors(64).unwrap();
        server.resume().unwrap();
    }
    clients.wait_for(500).unwrap();
    let report = holds(clients, &store);
    assert!(report.errors.keys().all(|kind| kind == "PoolTimeout" || kind == "ServerTimeout"), "{report}");
    assert!(report.longest_call < 3 * SHORT, "{report}");
}

fn a_read_succeeds_although_every_connection_waits_for_a_lock(kind: Kind) {
    const WRITERS: usize = 4;
    let server = Server::start(&DURABLE).unwrap();
    let connection = Duration::from_secs(4);
    let store = Store::new(kind, &server.url("postgres")).pool_size(4).timeouts(connection, SHORT);
    let target = store.open().unwrap();
    let locked = target.generate("locked", None).unwrap();
    let read = target.generate("read", None).unwrap();

    // The connections that reads share wait for no lock.
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
