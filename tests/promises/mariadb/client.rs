//! The traps of Diesel and of MariaDB's client library.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use diesel::MysqlConnection;
use diesel::connection::SimpleConnection as _;
use diesel_session::{
    Error, Expiry, KeyStorage, MigrationError, Now as _, SessionKey, Sessions as _, TimeDelta,
};
use throwaway_mariadb::Server;

use crate::support::{LATE, MariaDb, Mysql, Sql as _, at_once, shown};

/// Runs `work` on its own thread, because a client that waits without end cannot be stopped.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, waiting) = channel();
    thread::spawn(move || done.send(work()));
    waiting.recv_timeout(LATE).expect("it waits without end")
}

fn insert_many(conn: &mut MysqlConnection, sessions: u32) {
    conn.run(&format!(
        "INSERT INTO session (session_key, expire_date, owner, session_data) \
         SELECT CONCAT('$', LPAD(seq, 39, '0')), 4102444800000, 'alice', 'x' FROM seq_1_to_{sessions}"
    ));
}

/// A SELECT that fails after the header of its result leaves its prepared statement in a state in which the client
/// waits without end.
#[test]
fn a_query_that_failed_half_way_runs_again() {
    in_time(|| {
        let database = MariaDb::new();
        let store = database.store();
        insert_many(&mut database.conn(), 200_000);
        let mut conn = database.conn();
        for _ in 0..3 {
            conn.run("SET SESSION max_statement_time = 0.001");
            let failed = store.on(&mut conn).count();
            assert!(matches!(failed, Err(Error::Database(_))), "{failed:?}");
            conn.run("SET SESSION max_statement_time = 0");
            assert_eq!(store.on(&mut conn).count().unwrap().live, 200_000);
        }
    });
}

/// The same after a wait for a lock, in the caller's transaction.
#[test]
fn a_query_that_waited_too_long_for_a_lock_runs_again() {
    in_time(|| {
        let database = MariaDb::new();
        let store = database.store();
        store.generate_for("alice", Some("x"), None).unwrap();
        let (mut holder, mut conn) = (database.conn(), database.conn());
        holder.run("BEGIN; SELECT * FROM session FOR UPDATE");
        conn.run("SET SESSION innodb_lock_wait_timeout = 1");
        // It locks by the index on the owner.
        let failed = store.on(&mut conn).clear_owner("alice", None);
        assert!(matches!(failed, Err(Error::Database(_))), "{failed:?}");
        holder.run("ROLLBACK");
        assert_eq!(store.on(&mut conn).clear_owner("alice", None).unwrap(), 1);
    });
}

/// Diesel reports no connection of MariaDB's as broken.
#[test]
fn a_connection_that_was_killed_is_replaced() {
    let database = MariaDb::new();
    let mut beside = database.conn();
    for is_bounded in [true, false, true, false] {
        let store = database.store_with(Mysql::builder().pool_size(4).bounded_calls(is_bounded));
        let keys: Vec<SessionKey> = at_once(8, |_| store.generate(Some("x"), None).unwrap());
        let ids = "SELECT GROUP_CONCAT(id) FROM information_schema.processlist \
                   WHERE db = DATABASE() AND id <> CONNECTION_ID()";
        for id in beside.text(ids).split(',') {
            // It may have ended by itself.
            let _gone = beside.batch_execute(&format!("KILL {id}"));
        }
        for key in keys.iter().cycle().take(40) {
            assert_eq!(store.get(key).unwrap().0, "x");
        }
    }
}

#[test]
fn calls_succeed_at_once_after_a_restart_of_the_server() {
    let mut server = Server::start(&["--innodb-flush-log-at-trx-commit=1"]).unwrap();
    let database = MariaDb::on(&server);
    let store = database.store();
    let key = store.generate(Some("x"), None).unwrap();
    for crash in [false, true] {
        if crash { server.kill() } else { server.stop() }.unwrap();
        let failed = store.get(&key).unwrap_err();
        assert!(failed.is_transient(), "{}", shown(&failed));
        server.start_again().unwrap();
        for _ in 0..20 {
            assert_eq!(store.get(&key).unwrap().0, "x");
        }
    }
}

/// The client has no time limit of its own.
#[test]
fn every_call_ends_in_time_while_the_server_is_silent() {
    in_time(|| {
        let mut server = Server::start(&[]).unwrap();
        let database = MariaDb::on(&server);
        let patience = |builder: diesel_session::Builder<MysqlConnection>| {
            let second = TimeDelta::seconds(1);
            builder.connection_timeout(second).statement_timeout(second)
        };
        let store = database.store_with(patience(Mysql::builder()).pool_size(2));
        let key = store.generate(Some("x"), None).unwrap();
        server.pause().unwrap();
        // Two calls use the pool's connections, and the third one finds none.
        for _ in 0..3 {
            let started = Instant::now();
            let failed = store.get(&key).unwrap_err();
            assert!(
                matches!(failed, Error::ServerTimeout { .. } | Error::PoolTimeout { .. }),
                "{}",
                shown(&failed)
            );
            assert!(started.elapsed() < Duration::from_secs(10));
        }
        let refused = patience(Mysql::builder()).connect(&database.url).unwrap_err();
        assert!(matches!(refused, Error::PoolTimeout { .. }), "{}", shown(&refused));
        server.resume().unwrap();
        let started = Instant::now();
        while store.get(&key).is_err() {
            assert!(started.elapsed() < LATE, "it does not recover");
        }
    });
}

#[test]
fn a_server_that_refuses_the_largest_value_is_refused() {
    let server = Server::start(&["--max-allowed-packet=1M"]).unwrap();
    let database = MariaDb::on(&server);
    let store = Mysql::connect(&database.url).unwrap();
    let small = |result: Result<_, Error>| {
        matches!(result, Err(Error::Migration(MigrationError::SmallPackets { limit: 1_048_576, .. })))
    };
    assert!(small(store.migrate().map(drop)) && small(store.check()));
    let store = Mysql::builder().value_limit(450_000).connect(&database.url).unwrap();
    store.check().unwrap();
    let value = "x".repeat(450_000);
    let key = store.generate(Some(&value), None).unwrap();
    assert_eq!(store.get(&key).unwrap().0, value);
    store.replace(&key, Some(&value), &"y".repeat(450_000), Expiry::Keep).unwrap();
    let refused = Mysql::builder().value_limit(usize::MAX).connect(&database.url).unwrap().check();
    assert!(small(refused));
}

#[test]
fn a_taken_key_is_in_no_error() {
    let database = MariaDb::new();
    let store = database.store_with(Mysql::builder().key_storage(KeyStorage::Plain));
    let key = store.generate(None, None).unwrap();
    // What the server says of a key that is taken.
    database.conn().run(
        "CREATE TRIGGER taken BEFORE UPDATE ON session FOR EACH ROW \
         SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 1062, MESSAGE_TEXT = 'Duplicate entry ''secret'' for key'",
    );
    let refused = store.rotate(&key).unwrap_err();
    assert!(
        matches!(refused, Error::Database(_)) && !shown(&refused).contains("secret"),
        "{}",
        shown(&refused)
    );
}
