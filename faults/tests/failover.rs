//! Failover: the primary is gone, and the standby takes its place.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for runs with --nocapture")]

mod support;

use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_session_faults::{Clients, DURABLE, Kind, Store};
use throwaway_postgres::Server;

use crate::support::{PROGRAM, VALUE_SIZE, holds, on_each_store};

on_each_store! {
    a_promoted_standby_has_every_acknowledged_write_and_serves_in_five_seconds
    a_silent_host_leaves_time_to_connect_to_the_next_one
    clients_leave_a_silent_primary_for_the_promoted_standby
    writes_that_wait_for_a_lost_standby_do_not_use_up_the_servers_connections
}

fn a_promoted_standby_has_every_acknowledged_write_and_serves_in_five_seconds(kind: Kind) {
    let Pair { mut primary, mut standby, address } = Pair::new();
    let (store, mut clients) = under_load(kind, &address);
    primary.kill_all().unwrap();
    // The clients notice, and find no server that accepts writes.
    clients.wait_for_errors(1).unwrap();
    standby.promote().unwrap();
    let promoted = Instant::now();
    clients.wait_for(100).unwrap();
    let outage = promoted.elapsed();
    clients.wait_for(1_000).unwrap();
    let report = holds(clients, &store);
    let lost_connections = ["ConnectionLost", "Interrupted", "OutcomeUnknown", "PoolTimeout"];
    assert!(report.errors.keys().all(|kind| lost_connections.contains(&&**kind)), "{report}");
    println!("100 calls served {:.1} s after the promotion", outage.as_secs_f32());
    assert!(outage < Duration::from_secs(5), "{outage:?}");
}

/// The primary's connections stay open, and its kernel acknowledges what the clients send. A call to it takes as long
/// as a call may take. New connections have to find the standby, which is the next host.
fn clients_leave_a_silent_primary_for_the_promoted_standby(kind: Kind) {
    /// The bound in `docs/reliability.md`: the longest call, two seconds to cancel it, and a new connection.
    const BOUND: Duration = Duration::from_secs(17);

    let Pair { mut primary, mut standby, address } = Pair::new();
    let (store, mut clients) = under_load(kind, &address);
    primary.pause().unwrap();
    let stopped = Instant::now();
    standby.promote().unwrap();
    clients.wait_for(100).unwrap();
    let outage = stopped.elapsed();
    clients.wait_for(1_000).unwrap();
    let report = holds(clients, &store);
    let silent = ["ConnectionLost", "Interrupted", "OutcomeUnknown", "PoolTimeout", "ServerTimeout"];
    assert!(report.errors.keys().all(|kind| silent.contains(&&**kind)), "{report}");
    println!("100 calls served {:.1} s after the pause; {report}", outage.as_secs_f32());
    assert!(outage < BOUND, "{outage:?}");
}

/// Each write waits for a standby that never answers. No setting of the server limits this wait. A server process that
/// waits does not notice that its client has left.
fn writes_that_wait_for_a_lost_standby_do_not_use_up_the_servers_connections(kind: Kind) {
    const POOL: u32 = 4;
    const SECOND: Duration = Duration::from_secs(1);

    let server = Server::start(&DURABLE).unwrap();
    let mut admin = PgConnection::establish(&server.url("postgres")).unwrap();
    admin.batch_execute("SET synchronous_commit = local").unwrap();
    let store = Store::new(kind, &server.url("postgres")).pool_size(POOL).timeouts(SECOND, SECOND);
    let target = store.open().unwrap();
    synchronous_standby_names(&mut admin, "nobody");
    let ends = Instant::now() + Duration::from_secs(15);
    let most = thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while Instant::now() < ends {
                    // The first call may come before the server has read its new setting.
                    drop(target.generate("x", None));
                }
            });
        }
        let mut most = 0;
        while Instant::now() < ends {
            most = most.max(number(
                &mut admin,
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
            ));
            thread::sleep(Duration::from_millis(50));
        }
        most
    });
    println!("at most {most} server processes wait, with a pool of {POOL}");
    // The blocking store cannot cancel a statement. A second pool replaces the first, whose statements still wait.
    let pools = if kind == Kind::Blocking { 2 } else { 1 };
    assert!(
        (i64::from(POOL)..=pools * i64::from(POOL)).contains(&most),
        "{most} server processes wait, with a pool of {POOL}"
    );
    synchronous_standby_names(&mut admin, "");
    let key = target.generate("x", None).unwrap();
    assert_eq!(target.get(&key).unwrap().0, "x");
}

/// Starts clients on a store, waits until they work, and notes that a fault follows.
fn under_load(kind: Kind, address: &str) -> (Store, Clients) {
    let store = Store::new(kind, address);
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(&store, 8).unwrap();
    clients.wait_for(1_000).unwrap();
    clients.note_fault();
    (store, clients)
}

/// A primary and its standby, and the address of both. A write is on the standby's disk before it is acknowledged.
struct Pair {
    primary: Server,
    standby: Server,
    address: String,
}

impl Pair {
    fn new() -> Self {
        let primary = Server::start(&DURABLE).unwrap();
        // Otherwise a promotion may have to wait for the standby's next attempt to reach its primary. By default, that
        // comes after five seconds.
        let settings = [&DURABLE[..], &["wal_retrieve_retry_interval=200ms"]].concat();
        let standby = primary.standby(&settings).unwrap();
        let mut admin = PgConnection::establish(&primary.url("postgres")).unwrap();
        synchronous_standby_names(&mut admin, "*");
        wait_for_a_synchronous_standby(&mut admin);
        let (first, second) = (primary.directory().display(), standby.directory().display());
        let address =
            format!("host={first},{second} dbname=postgres user=postgres target_session_attrs=read-write");
        Self { primary, standby, address }
    }
}

/// From then on, a commit is acknowledged only when one of these standbys has it on disk.
fn synchronous_standby_names(admin: &mut PgConnection, names: &str) {
    admin.batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'")).unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").unwrap();
}

fn number(conn: &mut PgConnection, query: &str) -> i64 {
    dsl::sql::<BigInt>(query).get_result(conn).unwrap()
}

/// A primary whose machine hangs refuses no connection: it accepts it and never answers.
fn a_silent_host_leaves_time_to_connect_to_the_next_one(kind: Kind) {
    let server = Server::start(&DURABLE).unwrap();
    let silent = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(silent.path().join(".s.PGSQL.5432")).unwrap();
    let (first, second) = (silent.path().display(), server.directory().display());
    let address =
        format!("host={first},{second} dbname=postgres user=postgres target_session_attrs=read-write");
    let target = Store::new(kind, &address).pool_size(3).open().unwrap();
    let key = target.generate("x", None).unwrap();
    assert_eq!(target.get(&key).unwrap().0, "x");
}

fn wait_for_a_synchronous_standby(admin: &mut PgConnection) {
    let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    let started = Instant::now();
    while number(admin, synchronous) == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "no standby is synchronous");
        thread::yield_now();
    }
}
