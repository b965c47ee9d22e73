//! A real PgBouncer between many clients and few connections.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for runs with --nocapture")]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use diesel::connection::CacheSize;
use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_session_faults::{Clients, DURABLE, Kind, Store};
use throwaway_postgres::{PgBouncer, Server};

use crate::support::{PROGRAM, VALUE_SIZE, holds, on_each_store};

on_each_store! {
    in_session_mode_no_call_fails
}

#[test]
fn in_transaction_mode_200_clients_share_5_connections_and_leave_nothing_on_them() {
    let server = Server::start(&DURABLE).unwrap();
    let settings = ["pool_mode = transaction", "default_pool_size = 5", "server_round_robin = 1"];
    let bouncer = PgBouncer::start(&server, &settings).unwrap();
    let store = Store::new(Kind::BehindPgBouncer, &bouncer.url("postgres")).pool_size(200);
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(&store, 200).unwrap();
    let started = Instant::now();
    while logins(&server) < 200 {
        assert!(started.elapsed() < Duration::from_secs(60), "{} connections", logins(&server));
        clients.wait_for(100).unwrap();
    }
    clients.wait_for(10_000).unwrap();

    let mut through = PgConnection::establish(&bouncer.url("postgres")).unwrap();
    through.set_prepared_statement_cache_size(CacheSize::Disabled);
    let mut number = |query: &str| dsl::sql::<BigInt>(query).get_result::<i64>(&mut through).unwrap();
    let of_clients = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    assert_eq!(number(of_clients), 5);
    let report = holds(clients, &store);
    assert!(report.errors.is_empty(), "{report}");
    // Looks at each connection in turn.
    let mut left_on = BTreeMap::new();
    for _ in 0..50 {
        let left = "SELECT pg_backend_pid() * 1000::bigint + (SELECT count(*) FROM pg_prepared_statements) \
                    + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')";
        let left = number(left);
        left_on.insert(left / 1000, left % 1000);
    }
    assert!(left_on.len() == 5 && left_on.values().all(|left| *left == 0), "{left_on:?}");
}

fn logins(server: &Server) -> usize {
    let log = std::fs::read_to_string(server.directory().join("pgbouncer.log")).unwrap();
    log.matches("login attempt").count()
}

fn in_session_mode_no_call_fails(kind: Kind) {
    let server = Server::start(&DURABLE).unwrap();
    let bouncer = PgBouncer::start(&server, &["pool_mode = session", "default_pool_size = 20"]).unwrap();
    let store = Store::new(kind, &bouncer.url("postgres")).pool_size(9);
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    // Runs two clients, one after the other. The second gets the connections of the first, reset.
    for _ in 0..2 {
        clients.start(&store, 20).unwrap();
        clients.wait_for(2_000).unwrap();
        clients.stop().unwrap();
    }
    let report = holds(clients, &store);
    assert!(report.errors.is_empty(), "{report}");
}
