//! A primary that is gone, and the standby in its place.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for whoever asks with --nocapture")]

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
    a_host_that_is_silent_leaves_time_for_the_next
}

fn a_promoted_standby_has_every_acknowledged_write_and_serves_in_five_seconds(kind: Kind) {
    let mut primary = Server::start(&DURABLE).unwrap();
    // A promotion may come while the standby waits to ask its primary again, for five seconds by default.
    let settings = [&DURABLE[..], &["wal_retrieve_retry_interval=200ms"]].concat();
    let mut standby = primary.standby(&settings).unwrap();
    // From here on a commit is acknowledged when the standby has it on its disk.
    let mut admin = PgConnection::establish(&primary.url("postgres")).unwrap();
    for statement in ["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"] {
        admin.batch_execute(statement).unwrap();
    }
    wait_for_a_synchronous_standby(&mut admin);
    let (first, second) = (primary.directory().display(), standby.directory().display());
    let address =
        format!("host={first},{second} dbname=postgres user=postgres target_session_attrs=read-write");
    let store = Store::new(kind, &address);
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(&store, 8).unwrap();
    clients.wait_for(1_000).unwrap();
    clients.note_fault();
    primary.kill_all().unwrap();
    // The clients notice, and find nobody who takes their writes.
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

/// A primary whose machine hangs refuses nobody: it takes a connection and says nothing.
fn a_host_that_is_silent_leaves_time_for_the_next(kind: Kind) {
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
    while dsl::sql::<BigInt>(synchronous).get_result::<i64>(admin).unwrap() == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "no standby is synchronous");
        thread::yield_now();
    }
}
