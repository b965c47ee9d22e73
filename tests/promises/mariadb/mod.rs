//! The traps of MariaDB, of its client library, and of Diesel on it. (The laws run on it in `conformance`, and those of
//! the web stores in `web_stores`.)

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use chrono::Utc;
use diesel::MysqlConnection;
use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_session::{
    DieselSession, Error, Expiry, KeyStorage, MigrationError, Now as _, OwnerLimit, SessionKey,
    Sessions as _, TimeDelta, migrations,
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
        "SET SESSION max_recursive_iterations = 10000000; \
         INSERT INTO session (session_key, expire_date, owner, session_data) \
         WITH RECURSIVE n AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n WHERE n < {sessions}) \
         SELECT CONCAT('$', LPAD(n, 39, '0')), 4102444800000, 'alice', 'x' FROM n"
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
    let store = database.store_with(Mysql::builder().pool_size(4));
    let keys: Vec<SessionKey> = at_once(8, |_| store.generate(Some("x"), None).unwrap());
    let mut beside = database.conn();
    for _ in 0..3 {
        let ids = "SELECT GROUP_CONCAT(id) FROM information_schema.processlist \
                   WHERE db = DATABASE() AND id <> CONNECTION_ID()";
        for id in beside.text(ids).split(',') {
            beside.run(&format!("KILL {id}"));
        }
        for key in keys.iter().cycle().take(40) {
            assert_eq!(store.get(key).unwrap().0, "x");
        }
    }
}

#[test]
fn a_restart_of_the_server_costs_no_call() {
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

/// The client library ignores `ssl_mode` without a word.
#[test]
fn a_connection_without_the_tls_that_was_asked_for_is_refused() {
    let database = MariaDb::new();
    let second = TimeDelta::seconds(1);
    let url = format!("{}&ssl_mode=REQUIRED", database.url);
    let refused = Mysql::builder().connection_timeout(second).connect(&url).unwrap_err();
    assert!(shown(&refused).contains("the address asks for TLS"), "{}", shown(&refused));
    Mysql::builder().connect(&format!("{}&ssl_mode=preferred", database.url)).unwrap();
    for mode in ["verify_identity", "VERIFY_CA"] {
        let refused = Mysql::connect(&format!("{}&ssl_mode={mode}", database.url)).unwrap_err();
        assert!(matches!(refused, Error::Configuration { setting: "connection", .. }), "{}", shown(&refused));
    }
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

/// Under the server's default isolation, a transaction that has read before sees rows as they were then.
#[test]
fn a_logout_in_a_callers_transaction_finds_a_renewal_that_it_has_not_seen() {
    for how in ["clear", "clear_listed", "clear_handle"] {
        let database = MariaDb::new();
        let store = database.store();
        let key = store.generate_for("alice", Some("x"), None).unwrap();
        let handle = store.handle(&key);
        let mut conn = database.conn();
        conn.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; BEGIN");
        store.on(&mut conn).get(&key).unwrap();
        let renewed = store.rotate(&key).unwrap();
        match how {
            "clear" => store.on(&mut conn).clear(&key).unwrap(),
            "clear_listed" => assert!(store.on(&mut conn).clear_listed("alice", &handle).unwrap()),
            _ => assert!(store.on(&mut conn).clear_handle(&handle).unwrap()),
        }
        conn.run("COMMIT");
        assert!(matches!(store.get(&renewed), Err(Error::NotFound)), "{how}");
    }
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

/// Text columns of MariaDB's would take some of these for equal.
#[test]
fn keys_owners_labels_and_values_are_compared_by_bytes() {
    let database = MariaDb::new();
    let store = database.store_with(Mysql::builder().key_storage(KeyStorage::Plain));
    let key = store.generate(Some("x"), None).unwrap();
    let upper: SessionKey = key.as_str().to_uppercase().parse().unwrap();
    assert!(matches!(store.get(&upper), Err(Error::NotFound)));
    let owners = ["alice", "Alice", "alice ", "alicé", "ali\u{301}ce", "🦀", "🦞"];
    for owner in owners {
        store.generate_for(owner, None, None).unwrap();
    }
    for owner in owners {
        assert_eq!(store.sessions_of(owner, 10).unwrap().len(), 1, "{owner:?}");
    }
    for value in ["é🦀 ", "é🦀", "", "\u{feff}\r\n\t\\'\"%_"] {
        store.set(&key, value, None).unwrap();
        assert_eq!(store.get(&key).unwrap().0, value);
    }
    store.set(&key, "x", None).unwrap();
    assert!(matches!(store.replace(&key, Some("X"), "y", Expiry::Keep), Err(Error::Changed)));
    assert!(matches!(store.replace(&key, Some("x "), "y", Expiry::Keep), Err(Error::Changed)));
}

/// Also in the hour that a change to winter time repeats.
#[test]
fn the_clock_is_right_in_every_time_zone() {
    let database = MariaDb::new();
    let store = database.store();
    let mut conn = database.conn();
    for zone in ["+00:00", "-12:00", "+13:00", "+05:45", "SYSTEM"] {
        conn.run(&format!("SET SESSION time_zone = '{zone}'"));
        let before = Utc::now() - TimeDelta::seconds(1);
        let key = store.on(&mut conn).generate(None, Some(TimeDelta::hours(1))).unwrap();
        let found = store.on(&mut conn).find(&key).unwrap();
        assert!(found.created >= before && found.created <= Utc::now() + TimeDelta::seconds(1), "{zone}");
        assert!((found.left - TimeDelta::hours(1)).abs() < TimeDelta::seconds(1), "{zone}: {}", found.left);
    }
}

/// Under the server's default isolation, one who reads or writes a missing key would lock a gap between the rows.
#[test]
fn the_pools_connections_lock_no_gaps() {
    let database = MariaDb::new();
    let store = database.store();
    let mut pooled = store.pool().get().unwrap();
    assert_eq!(pooled.text("SELECT @@tx_isolation"), "READ-COMMITTED");
    pooled.run("BEGIN");
    let missing: SessionKey = "x".repeat(40).parse().unwrap();
    assert!(matches!(store.on(&mut pooled).set(&missing, "x", None), Err(Error::NotFound)));
    for _ in 0..20 {
        store.generate(None, None).unwrap();
    }
    pooled.run("ROLLBACK");
}

/// The application's own pool has the server's default isolation, REPEATABLE READ.
#[test]
fn no_update_is_lost_on_the_applications_own_pool() {
    let database = MariaDb::new();
    database.store();
    let pool =
        Pool::builder().max_size(8).build(ConnectionManager::<MysqlConnection>::new(&database.url)).unwrap();
    let store = DieselSession::new(pool);
    let key = store.generate(Some("0"), None).unwrap();
    at_once(8, |_| {
        for _ in 0..50 {
            store
                .update(&key, Expiry::Default, |value| {
                    let number: u32 = value.unwrap().parse().unwrap();
                    Ok::<_, Error>((number + 1).to_string())
                })
                .unwrap();
        }
    });
    assert_eq!(store.get(&key).unwrap().0, "400");
}

/// A DELETE by the index on the hour would lock the index before the row.
#[test]
fn a_sweep_beside_writers_meets_no_deadlock() {
    let server = Server::start(&[]).unwrap();
    let database = MariaDb::on(&server);
    let store = database.store();
    let going_on = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while going_on.load(Ordering::Relaxed) {
                    let dead = store.generate_for("alice", Some("x"), Some(TimeDelta::hours(-2))).unwrap();
                    let live = store.generate_for("alice", Some("x"), Some(TimeDelta::hours(2))).unwrap();
                    store.set(&live, "y", Some(TimeDelta::hours(5))).unwrap();
                    store.touch(&live, Expiry::After(TimeDelta::days(2))).unwrap();
                    store.clear(&dead).unwrap();
                    store.generate(Some("x"), Some(TimeDelta::hours(-3))).unwrap();
                    let live = store.rotate(&live).unwrap();
                    store.clear(&live).unwrap();
                }
            });
        }
        let mut deleted = 0;
        while deleted < 2_000 {
            deleted += store.delete_expired(100).unwrap();
        }
        going_on.store(false, Ordering::Relaxed);
    });
    // The store repeats a call after a deadlock, so only the server knows.
    let deadlocks = "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status \
                     WHERE variable_name = 'Innodb_deadlocks'";
    assert_eq!(database.conn().number(deadlocks), 0);
}

#[test]
fn many_logins_at_once_keep_the_owners_limit() {
    let database = MariaDb::new();
    let limited = |limit| database.store_with(Mysql::builder().owner_limit(limit).pool_size(16));
    let store = limited(OwnerLimit::EndOldest(3));
    at_once(16, |_| {
        for _ in 0..20 {
            store.generate_for("alice", None, None).unwrap();
        }
    });
    assert_eq!(store.sessions_of("alice", 10).unwrap().len(), 3);
    let store = limited(OwnerLimit::Refuse(3));
    let granted = at_once(16, |_| store.generate_for("bob", None, None).is_ok());
    assert_eq!(granted.into_iter().filter(|is_granted| *is_granted).count(), 3);
}

/// The user of a web application may not write while `read_only` is on.
#[test]
fn a_server_that_takes_no_writes_says_so() {
    let server = Server::start(&[]).unwrap();
    let database = MariaDb::on(&server);
    database.store();
    let mut root = database.conn();
    root.run("CREATE USER app@localhost; GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO app@localhost");
    let store = Mysql::connect(&database.url.replace("//root@", "//app@")).unwrap();
    let key = store.generate(Some("x"), None).unwrap();
    root.run("SET GLOBAL read_only = 1");
    let refused = store.set(&key, "y", None).unwrap_err();
    assert!(matches!(refused, Error::ReadOnly { .. }) && refused.is_transient(), "{}", shown(&refused));
    assert_eq!(store.get(&key).unwrap().0, "x");
    root.run("SET GLOBAL read_only = 0");
    store.set(&key, "y", None).unwrap();
}

/// The first DDL statement would commit it.
#[test]
fn a_migration_does_not_commit_the_callers_transaction() {
    let database = MariaDb::new();
    let mut conn = database.conn();
    conn.run("CREATE TABLE orders (id INT) ENGINE = InnoDB");
    conn.begin_test_transaction().unwrap();
    conn.run("INSERT INTO orders VALUES (1)");
    let refused = migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::WithinTransaction)), "{}", shown(&refused));
    assert_eq!(database.conn().number("SELECT COUNT(*) FROM orders"), 0);
    // Nor one that Diesel has not begun.
    let mut raw = database.conn();
    raw.run("BEGIN; INSERT INTO orders VALUES (2)");
    assert!(migrations::migrate(&mut raw, KeyStorage::Hashed).is_err());
    drop(raw);
    assert_eq!(database.conn().number("SELECT COUNT(*) FROM orders"), 0);
    // If there is nothing to do, it only reads.
    migrations::migrate(&mut database.conn(), KeyStorage::Hashed).unwrap();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 0);
    assert_eq!(database.conn().number("SELECT COUNT(*) FROM orders"), 0);
}

#[test]
fn one_of_many_migrations_at_once_does_the_work() {
    let database = MariaDb::new();
    let versions = at_once(16, |_| migrations::migrate(&mut database.conn(), KeyStorage::Hashed).unwrap());
    assert_eq!(versions.iter().sum::<usize>(), 1);
}

/// A migration can be interrupted after each of its statements.
#[test]
fn a_migration_that_was_interrupted_is_finished() {
    for rest in ["DROP TABLE session_owner_lock", "DELETE FROM session_owner_lock WHERE slot > 7"] {
        let database = MariaDb::new();
        let key = database.store().generate(Some("x"), None).unwrap();
        let mut conn = database.conn();
        conn.run(&format!("{rest}; DELETE FROM __diesel_session_migrations"));
        assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
        let store = database.store_with(Mysql::builder().owner_limit(OwnerLimit::EndOldest(1)));
        assert_eq!(store.get(&key).unwrap().0, "x");
        for owner in 0..50 {
            store.generate_for(&owner.to_string(), None, None).unwrap();
        }
    }
}

#[test]
fn the_table_of_another_program_is_left_alone() {
    let database = MariaDb::new();
    let mut conn = database.conn();
    conn.run("CREATE TABLE session (id INT PRIMARY KEY); INSERT INTO session VALUES (7)");
    let refused = migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::NotOurs { .. })), "{}", shown(&refused));
    assert_eq!(conn.number("SELECT id FROM session"), 7);
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()";
    assert_eq!(conn.number(tables), 1, "nothing is left behind");
}

#[test]
fn the_form_of_the_keys_is_checked_and_a_revert_drops_the_tables() {
    let database = MariaDb::new();
    let store = database.store();
    store.generate(None, None).unwrap();
    let mut conn = database.conn();
    let refused = migrations::check(&mut conn, KeyStorage::Plain).unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::HashedKeys)), "{}", shown(&refused));
    store.clear_all().unwrap();
    database.store_with(Mysql::builder().key_storage(KeyStorage::Plain)).generate(None, None).unwrap();
    let refused = migrations::check(&mut conn, KeyStorage::Hashed).unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::PlainKeys)), "{}", shown(&refused));
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261128000001");
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() \
                  AND table_name LIKE 'session%'";
    assert_eq!(conn.number(tables), 0);
    assert!(migrations::revert(&mut conn).is_err());
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    conn.batch_execute("DROP TABLE session").unwrap();
    let refused = migrations::check(&mut conn, KeyStorage::Hashed).unwrap_err();
    assert!(matches!(refused, Error::Migration(MigrationError::TableDropped)), "{}", shown(&refused));
}
