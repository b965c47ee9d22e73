//! The asynchronous store, if its server goes away, comes back, or stops answering.

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel_session::{
    AsyncBuilder, AsyncDieselSession, AsyncNow as _, AsyncPool as _, AsyncSessions as _, ConnectOptions,
    Error, Expiry, Now as _, SessionKey, TimeDelta,
};
use throwaway_postgres::Server;

use crate::pool::{Operation, recovers, run};
use crate::support::{Database, LATE, Sql as _};
use crate::waiting::{Waiting, made, runtime};

const SHORT: Duration = Duration::from_secs(1);

fn builder() -> AsyncBuilder {
    AsyncDieselSession::builder()
}

fn connected(url: &str, builder: AsyncBuilder) -> Waiting<AsyncDieselSession> {
    made(async {
        let store = builder.connect(url).await.unwrap();
        store.migrate().await.unwrap();
        store
    })
}

/// Opens every connection of the pool. If `cached`, it also prepares every statement on each of them. The pool does not
/// lend the `shared` connections, because reads share them already.
fn fill(waiting: &Waiting<AsyncDieselSession>, shared: u32, cached: bool) {
    let store = waiting.store();
    waiting.block_on(async {
        let mut conns = Vec::new();
        for _ in shared..store.pool().size() {
            conns.push(store.pool().connection().await.unwrap());
        }
        for conn in conns.iter_mut().filter(|_| cached) {
            let key = store.on(conn).generate(Some("x"), None).await.unwrap();
            store.on(conn).set(&key, "y", None).await.unwrap();
            store.on(conn).get(&key).await.unwrap();
            store.on(conn).touch(&key, Expiry::Default).await.unwrap();
            store.on(conn).update(&key, Expiry::Default, |_| Ok::<_, Error>("y".to_owned())).await.unwrap();
            store.on(conn).replace(&key, Some("y"), "x", Expiry::Default).await.unwrap();
            let key = store.on(conn).rotate(&key).await.unwrap();
            store.on(conn).bind(&key, "bob").await.unwrap();
            store.on(conn).clear_owner("bob", None).await.unwrap();
            store.on(conn).clear(&key).await.unwrap();
        }
    });
}

#[test]
fn killed_connections_cause_no_error() {
    let database = Database::new();
    let store = connected(&database.url, builder());
    let mut admin = database.conn();
    recovers(&store, |store, cached| fill(store, 0, cached), || admin.end_other_connections());
}

#[test]
fn killed_shared_connections_cause_no_error() {
    let database = Database::new();
    let store = connected(&database.url, builder().pipelined(3));
    let key = store.generate(Some("x"), None).unwrap();
    let mut admin = database.conn();
    recovers(
        &store,
        |store, cached| {
            (0..3).for_each(|_| store.get(&key).map(drop).unwrap());
            fill(store, 3, cached);
        },
        || admin.end_other_connections(),
    );
}

#[test]
fn a_restart_of_the_server_causes_no_error_afterwards() {
    let mut server = Server::start(&["synchronous_commit=on"]).unwrap();
    let store = connected(&server.url("postgres"), builder().pool_size(4).pipelined(2));
    let key = store.generate(Some("x"), None).unwrap();
    recovers(
        &store,
        |store, cached| {
            (0..2).for_each(|_| store.get(&key).map(drop).unwrap());
            fill(store, 2, cached);
        },
        || {
            server.stop().unwrap();
            server.start_again().unwrap();
        },
    );
}

#[test]
fn a_server_that_is_down_causes_a_typed_error_until_it_is_back() {
    let mut server = Server::start(&[]).unwrap();
    let store =
        connected(&server.url("postgres"), builder().connection_timeout(TimeDelta::seconds(1)).pipelined(2));
    let key = store.generate(Some("x"), None).unwrap();
    store.get(&key).unwrap();
    server.stop().unwrap();
    for operation in [Operation::Get, Operation::Set, Operation::Generate, Operation::Clear] {
        let started = Instant::now();
        let error = run(&store, operation, &key).unwrap_err();
        assert!(matches!(error, Error::ConnectionLost { .. } | Error::PoolTimeout { .. }), "{error:?}");
        assert!(started.elapsed() < LATE);
    }
    server.start_again().unwrap();
    let key = store.generate(Some("x"), None).unwrap();
    store.get(&key).unwrap();
}

/// A program has one static store, and starts a runtime for each test or command.
#[test]
fn a_store_outlives_the_runtime_that_made_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for settings in [builder(), builder().pipelined(2)] {
        let database = Database::new();
        let sessions = runtime().block_on(async { settings.connect(&database.url).await.unwrap() });
        runtime().block_on(async { sessions.migrate().await.unwrap() });
        for _ in 0..5 {
            let key = runtime().block_on(async { sessions.generate(Some("a"), None).await.unwrap() });
            runtime().block_on(async { assert_eq!(sessions.get(&key).await.unwrap().0, "a") });
        }
    }
}

#[test]
fn a_server_that_is_down_at_the_start_is_a_typed_error_with_its_reason() {
    let mut server = Server::start(&[]).unwrap();
    server.stop().unwrap();
    let url = server.url("postgres");
    runtime().block_on(async {
        let started = Instant::now();
        let error = builder().connection_timeout(TimeDelta::seconds(1)).connect(&url).await.unwrap_err();
        assert!(matches!(&error, Error::PoolTimeout { .. }), "{error:?}");
        assert!(started.elapsed() < LATE);

        // With `startonly` the store does not wait, and the first call after the server is up succeeds.
        let options: ConnectOptions = url.parse().unwrap();
        let options = options.startonly(true);
        let store = builder().connection_timeout(TimeDelta::seconds(1)).connect_with(&options).await.unwrap();
        let error = store.generate(None, None).await.unwrap_err();
        let Error::PoolTimeout { source, .. } = &error else { panic!("{error:?}") };
        assert!(source.to_string().contains("onnect"), "the reason is missing: {source}");
        server.start_again().unwrap();
        store.migrate().await.unwrap();
        store.generate(None, None).await.unwrap();
    });
}

#[test]
fn a_call_to_a_server_that_no_longer_answers_ends_in_time() {
    for shared in [0, 2] {
        let mut server = Server::start(&[]).unwrap();
        let settings = builder()
            .connection_timeout(TimeDelta::seconds(1))
            .statement_timeout(TimeDelta::seconds(1))
            .pool_size(4);
        let settings = if shared > 0 { settings.pipelined(shared) } else { settings };
        let store = connected(&server.url("postgres"), settings);
        let key = store.generate(Some("x"), None).unwrap();
        (0..shared).for_each(|_| store.get(&key).map(drop).unwrap());
        fill(&store, shared, true);
        server.pause().unwrap();
        for operation in [Operation::Get, Operation::Set, Operation::Generate, Operation::Clear] {
            let started = Instant::now();
            let error = run(&store, operation, &key).unwrap_err();
            assert!(
                matches!(error, Error::ServerTimeout { .. } | Error::PoolTimeout { .. }),
                "{operation:?}: {error:?}"
            );
            assert!(started.elapsed() >= SHORT && started.elapsed() < LATE);
        }
        server.resume().unwrap();
        // The interrupted statements take effect now, in any order. The store serves as before.
        let key = store.generate(Some("x"), None).unwrap();
        for _ in 0..8 {
            assert_eq!(store.get(&key).unwrap().0, "x");
        }
    }
}

#[test]
fn migrating_does_not_wait_for_a_server_that_no_longer_answers() {
    let mut server = Server::start(&[]).unwrap();
    let second = TimeDelta::seconds(1);
    let settings = builder().connection_timeout(second).statement_timeout(second);
    let store = connected(&server.url("postgres"), settings);
    server.pause().unwrap();
    let started = Instant::now();
    let error = store.block_on(store.store().migrate()).unwrap_err();
    assert!(matches!(error, Error::ServerTimeout { .. }), "{error:?}");
    assert!(started.elapsed() < LATE);
    server.resume().unwrap();
    assert_eq!(store.block_on(store.store().migrate()).unwrap(), 0);
}

/// A call finds the server silent. All reads that share connections then try again on the next host, and so do later ones.
#[test]
fn no_read_waits_on_a_shared_connection_to_a_server_that_was_found_silent() {
    for other in [Operation::Set, Operation::Get] {
        let (mut first, second) = (Server::start(&[]).unwrap(), Server::start(&[]).unwrap());
        connected(&second.url("postgres"), builder());
        let options: ConnectOptions = first.url("postgres").parse().unwrap();
        let options =
            options.host(&format!("{},{}", first.directory().display(), second.directory().display()));
        let settings = builder()
            .connection_timeout(TimeDelta::seconds(4))
            .statement_timeout(TimeDelta::seconds(2))
            .pipelined(2);
        let store = made(async { settings.connect_with(&options).await.unwrap() });
        store.block_on(store.store().migrate()).unwrap();
        let key = store.generate(Some("x"), None).unwrap();
        // On both shared connections, and on another one that the next write gets.
        (0..2).for_each(|_| drop(store.get(&key).unwrap()));
        store.set(&key, "x", None).unwrap();
        first.pause().unwrap();
        thread::scope(|scope| {
            let other = scope.spawn(|| run(&store, other, &key));
            // These calls may take longer than the other one by that much. The first host costs them two seconds again.
            thread::sleep(7 * SHORT / 2);
            let joined: Vec<_> = (0..4).map(|_| scope.spawn(|| store.get(&key))).collect();
            assert!(matches!(other.join().unwrap(), Err(Error::ServerTimeout { .. })));
            // The second host answers that it has no such session.
            for joined in joined {
                let joined = joined.join().unwrap();
                assert!(matches!(joined, Err(Error::NotFound)), "{joined:?}");
            }
            assert!(matches!(store.get(&key), Err(Error::NotFound)));
        });
        first.resume().unwrap();
    }
}

/// Reads that get no other connection say that the server did not answer. No connection broke.
#[test]
fn a_read_that_tries_again_in_vain_says_that_the_server_did_not_answer() {
    let mut server = Server::start(&[]).unwrap();
    let second = TimeDelta::seconds(1);
    let settings = builder().connection_timeout(second).statement_timeout(second).pipelined(1);
    let store = connected(&server.url("postgres"), settings);
    let key = store.generate(Some("x"), None).unwrap();
    store.get(&key).unwrap();
    server.pause().unwrap();
    thread::scope(|scope| {
        let other = scope.spawn(|| store.get(&key));
        thread::sleep(SHORT + SHORT / 2);
        let joined = scope.spawn(|| store.get(&key));
        assert!(matches!(other.join().unwrap(), Err(Error::ServerTimeout { .. })));
        let joined = joined.join().unwrap();
        assert!(matches!(joined, Err(Error::ServerTimeout { .. })), "{joined:?}");
    });
    server.resume().unwrap();
}

/// A client closes its connection, so the web server drops the future of its request.
#[test]
fn a_dropped_read_leaves_its_shared_connection_to_others() {
    let database = Database::new();
    let store = connected(&database.url, builder().pipelined(1));
    let key = store.generate(Some("x"), None).unwrap();
    store.get(&key).unwrap();
    let mut admin = database.conn();
    let before = admin.number(READER);
    admin.run("BEGIN; LOCK TABLE session");
    let dropped = async { tokio::time::timeout(SHORT / 4, store.store().get(&key)).await };
    assert!(store.block_on(dropped).is_err());
    admin.run("ROLLBACK");
    assert_eq!(store.get(&key).unwrap().0, "x");
    assert_eq!(admin.number(READER), before);
}

/// The server answered the read long ago, although its reader had left.
#[test]
fn a_read_that_was_dropped_before_a_quiet_time_costs_no_connection() {
    let server = Server::start(&[]).unwrap();
    let second = TimeDelta::seconds(1);
    let settings = builder().connection_timeout(second).statement_timeout(second).pipelined(1);
    let store = connected(&server.url("postgres"), settings);
    let key = store.generate(Some("x"), None).unwrap();
    store.get(&key).unwrap();
    store.set(&key, "x", None).unwrap();
    let mut admin = PgConnection::establish(&server.url("postgres")).unwrap();
    let before = admin.text(PROCESSES);
    admin.run("BEGIN; LOCK TABLE session");
    let dropped = async { tokio::time::timeout(SHORT / 4, store.store().get(&key)).await };
    assert!(store.block_on(dropped).is_err());
    admin.run("ROLLBACK");
    // Longer than a call may take.
    thread::sleep(2 * SHORT + SHORT / 2);
    assert_eq!(store.get(&key).unwrap().0, "x");
    store.set(&key, "y", None).unwrap();
    assert_eq!(admin.text(PROCESSES), before);
}

/// One server process hangs. The store replaces only the connection to this process.
#[test]
fn a_shared_connection_that_no_longer_answers_is_replaced() {
    let server = Server::start(&[]).unwrap();
    let (store, key, _stopped) = a_reader_that_stands_still(&server);
    assert!(matches!(store.get(&key), Err(Error::ServerTimeout { .. })));
    assert_eq!(store.get(&key).unwrap().0, "x");
}

/// The connection is replaced even if every caller leaves before its call is late.
#[test]
fn a_shared_connection_that_answers_nobody_in_time_is_replaced() {
    let server = Server::start(&[]).unwrap();
    let (store, key, _stopped) = a_reader_that_stands_still(&server);
    let started = Instant::now();
    let impatient = || async { tokio::time::timeout(SHORT / 4, store.store().get(&key)).await };
    while !store.block_on(impatient()).is_ok_and(|read| read.is_ok()) {
        assert!(started.elapsed() < LATE, "it is never replaced");
    }
}

/// Returns a store with one shared connection, and a session in it. The server process of that connection is stopped.
fn a_reader_that_stands_still(server: &Server) -> (Waiting<AsyncDieselSession>, SessionKey, Stopped) {
    let url = server.url("postgres");
    let store = connected(
        &url,
        builder()
            .connection_timeout(TimeDelta::seconds(1))
            .statement_timeout(TimeDelta::seconds(1))
            .pipelined(1),
    );
    let key = store.generate(Some("x"), None).unwrap();
    store.get(&key).unwrap();
    let process = PgConnection::establish(&url).unwrap().number(READER);
    (store, key, Stopped::process(process))
}

/// The query for the process that served the last `get`.
const READER: &str = "SELECT pid::bigint FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database() \
     AND query LIKE 'SELECT%session_data%statement_timestamp()%' ORDER BY query_start DESC LIMIT 1";

/// The query for the processes that serve the store.
const PROCESSES: &str = "SELECT string_agg(pid::text, ' ' ORDER BY pid) AS value FROM pg_stat_activity \
     WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";

/// A server process that is stopped until this is dropped.
struct Stopped(i64);

impl Stopped {
    fn process(number: i64) -> Self {
        signal("-STOP", number);
        Self(number)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("-CONT", self.0);
    }
}

fn signal(signal: &str, process: i64) {
    assert!(Command::new("kill").arg(signal).arg(process.to_string()).status().unwrap().success());
}

/// The first of two hosts accepts connections and never answers, as a machine that hangs does.
#[test]
fn a_silent_host_is_passed_over() {
    let server = Server::start(&[]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let _silent = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
    let options: ConnectOptions = server.url("postgres").parse().unwrap();
    let hosts = format!("{},{}", directory.path().display(), server.directory().display());
    let options = options.host(&hosts);
    runtime().block_on(async {
        let store = builder().connection_timeout(TimeDelta::seconds(1)).connect_with(&options).await.unwrap();
        store.migrate().await.unwrap();
        store.generate(None, None).await.unwrap();
    });
}

/// Each server process that hangs costs its connection. After all of them are lost, the store opens others.
#[test]
fn reads_that_are_late_keep_no_connection() {
    let server = Server::start(&[]).unwrap();
    let url = server.url("postgres");
    let settings = builder()
        .connection_timeout(TimeDelta::seconds(1))
        .statement_timeout(TimeDelta::seconds(1))
        .pool_size(3)
        .pipelined(1);
    let store = connected(&url, settings);
    let key = store.generate(Some("x"), None).unwrap();
    let mut admin = PgConnection::establish(&url).unwrap();
    let mut stopped = Vec::new();
    for _ in 0..4 {
        store.get(&key).unwrap();
        stopped.push(Stopped::process(admin.number(READER)));
        assert!(matches!(store.get(&key), Err(Error::ServerTimeout { .. })));
    }
    assert_eq!(store.get(&key).unwrap().0, "x");
    store.set(&key, "y", None).unwrap();
}

#[test]
fn a_slow_statement_ends_in_time() {
    let database = Database::new();
    let store = connected(&database.url, builder().statement_timeout(TimeDelta::seconds(1)));
    let key = store.generate(Some("x"), None).unwrap();
    let mut locker = database.conn();
    locker.run("BEGIN; LOCK TABLE session");
    let started = Instant::now();
    assert!(matches!(store.get(&key), Err(Error::Database(_))));
    assert!(started.elapsed() < LATE);
    locker.run("ROLLBACK");
    store.get(&key).unwrap();
}

#[test]
fn an_exhausted_pool_is_a_typed_error() {
    let database = Database::new();
    let store = connected(&database.url, builder().pool_size(1).connection_timeout(TimeDelta::seconds(1)));
    let held = store.block_on(store.store().pool().connection()).unwrap();
    let started = Instant::now();
    let error = store.generate(None, None).unwrap_err();
    assert!(matches!(error, Error::PoolTimeout { waited, .. } if waited >= SHORT), "{error:?}");
    assert!(started.elapsed() < LATE);
    drop(held);
    store.generate(None, None).unwrap();
}

#[test]
fn migrating_and_checking_recover_as_well() {
    let database = Database::new();
    let store = connected(&database.url, builder());
    fill(&store, 0, true);
    database.conn().end_other_connections();
    store.block_on(store.store().check()).unwrap();
    fill(&store, 0, true);
    database.conn().end_other_connections();
    assert_eq!(store.block_on(store.store().migrate()).unwrap(), 0);
}
