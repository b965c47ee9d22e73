//! The traps of the database: its clock, its comparisons, its locks.

use std::sync::{Arc, Mutex};
use std::thread;

use chrono::Utc;
use diesel::MysqlConnection;
use diesel::connection::{Connection as _, InstrumentationEvent};
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::result::DatabaseErrorKind;
use diesel::result::Error::DatabaseError;
use diesel_session::{
    DieselSession, Error, Expiry, KeyStorage, Now as _, OwnerLimit, SessionKey, Sessions as _, TimeDelta,
};
use throwaway_mariadb::Server;

use crate::statements::{OPERATIONS, run};
use crate::support::{MARIADB_WAITERS, MariaDb, Mysql, Sql as _, at_once, shown};

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

/// As on PostgreSQL: a statement has the time of its start, also if it then waits for a lock.
#[test]
fn a_period_begins_before_a_wait_for_a_lock() {
    const NOW: &str = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000";
    let server = Server::start(&[]).unwrap();
    let database = MariaDb::on(&server);
    let store = database.store();
    let key = store.generate(Some("x"), None).unwrap();
    let (mut holder, mut watcher) = (database.conn(), database.conn());
    holder.run("BEGIN; SELECT * FROM session FOR UPDATE");
    let waits_since = thread::scope(|scope| {
        let writer = scope.spawn(|| store.set(&key, "y", Some(TimeDelta::hours(1))));
        watcher.wait_until(MARIADB_WAITERS, |waiters| waiters == 1);
        let waits_since = watcher.number(&format!("SELECT {NOW}"));
        watcher.wait_until(&format!("SELECT {NOW} - {waits_since}"), |waited| waited > 1_000);
        holder.run("ROLLBACK");
        writer.join().unwrap().unwrap();
        waits_since
    });
    let begun = watcher.number("SELECT expire_date - 3600000 FROM session");
    assert!(begun <= waits_since, "{} ms after the wait began", begun - waits_since);
}

/// Returns the statements that the store sends from now on. It has one connection.
fn seen_on(store: &Mysql) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = Arc::clone(&seen);
    store.pool().get().unwrap().set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            seeing.lock().unwrap().push(query.to_string());
        }
    });
    seen
}

/// MariaDB assigns from left to right: a later assignment of an UPDATE reads what an earlier one has set.
#[test]
fn no_assignment_reads_a_column_that_an_earlier_one_sets() {
    let database = MariaDb::new();
    let store = database.store_with(Mysql::builder().pool_size(1));
    let seen = seen_on(&store);
    let mut key = store.generate(None, None).unwrap();
    for (_, operation) in OPERATIONS {
        run(&store, &mut key, operation);
    }
    let mut updates = 0;
    for statement in seen.lock().unwrap().iter().filter(|statement| statement.starts_with("UPDATE")) {
        let assignments = statement.split_once(" SET ").unwrap().1.rsplit_once(" WHERE ").unwrap().0;
        let mut depth = 0;
        let assignments = assignments.split(|character| {
            depth += i32::from(character == '(') - i32::from(character == ')');
            character == ',' && depth == 0
        });
        let mut set = Vec::new();
        for assignment in assignments {
            let (column, value) = assignment.trim().split_once(" = ").unwrap();
            assert!(set.iter().all(|earlier| !value.contains(earlier)), "{statement}");
            set.push(column);
        }
        updates += usize::from(set.len() > 1);
    }
    assert!(updates >= 6, "{updates} statements set more than one column");
}

/// Under REPEATABLE READ, MariaDB's default, the transaction counts the sessions that it has seen before: see the guide.
#[test]
fn an_owners_limit_holds_in_a_callers_transaction_under_read_committed() {
    for (isolation, holds) in [("READ COMMITTED", true), ("REPEATABLE READ", false)] {
        let database = MariaDb::new();
        let store = database.store_with(Mysql::builder().owner_limit(OwnerLimit::Refuse(1)));
        let mut conn = database.conn();
        conn.run(&format!("SET SESSION TRANSACTION ISOLATION LEVEL {isolation}"));
        conn.begin_test_transaction().unwrap();
        assert_eq!(store.on(&mut conn).count().unwrap().live, 0);
        store.generate_for("alice", None, None).unwrap();
        let login = store.on(&mut conn).generate_for("alice", None, None);
        assert_eq!(matches!(login, Err(Error::OwnerLimit { limit: 1 })), holds, "{isolation}: {login:?}");
        assert_eq!(login.is_err(), holds, "{isolation}: {login:?}");
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

/// A DELETE by the index on the hour would lock the index before the row, and the other statements lock the row first.
/// That causes deadlocks.
#[test]
fn a_sweep_looks_without_locks_and_then_deletes_by_key() {
    let database = MariaDb::new();
    let store = database.store_with(Mysql::builder().pool_size(1));
    store.generate(None, Some(TimeDelta::hours(-2))).unwrap();
    let seen = seen_on(&store);
    assert_eq!(store.delete_expired(10).unwrap(), 1);
    let [look, delete] = <[String; 2]>::try_from(seen.lock().unwrap().clone()).unwrap();
    assert!(look.starts_with("SELECT") && !look.contains("FOR UPDATE"), "{look}");
    assert!(delete.starts_with("DELETE") && delete.contains("`session_key` IN (?)"), "{delete}");
    assert!(!delete.contains("expire_hour"), "{delete}");
}

/// One statement has at most 65,535 parameters.
#[test]
fn a_sweep_deletes_at_most_ten_thousand_sessions() {
    let database = MariaDb::new();
    let store = database.store();
    database.conn().run(
        "INSERT INTO session (session_key, expire_date) SELECT CONCAT('$', LPAD(seq, 39, '0')), 0 FROM seq_1_to_70000",
    );
    assert_eq!(store.delete_expired(u32::MAX).unwrap(), 10_000);
    assert_eq!(store.count().unwrap().expired, 60_000);
}

/// Another transaction holds the session's row and then wants the owner's row, which the call holds. The server ends the
/// call's transaction, because it has written less.
fn in_a_deadlock<T: Send>(
    database: &MariaDb,
    store: &Mysql,
    call: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    store.generate_for("alice", None, None).unwrap();
    let (mut holder, mut watcher) = (database.conn(), database.conn());
    holder.run("CREATE TABLE IF NOT EXISTS work (n INT) ENGINE = InnoDB");
    holder.run("BEGIN; INSERT INTO work SELECT seq FROM seq_1_to_100; SELECT * FROM session FOR UPDATE");
    thread::scope(|scope| {
        let called = scope.spawn(call);
        watcher.wait_until(MARIADB_WAITERS, |waiters| waiters == 1);
        holder.run("SELECT * FROM session_owner_lock FOR UPDATE; COMMIT");
        called.join().unwrap()
    })
}

#[test]
fn a_call_that_the_server_ends_in_a_deadlock_runs_again() {
    let server = Server::start(&[]).unwrap();
    let database = MariaDb::on(&server);
    let store = database.store();
    let cleared = in_a_deadlock(&database, &store, || store.clear_owner("alice", None));
    assert_eq!(cleared.unwrap(), 1);
    let mut conn = database.conn();
    conn.begin_test_transaction().unwrap();
    let cleared = in_a_deadlock(&database, &store, || store.on(&mut conn).clear_owner("alice", None));
    let refused = cleared.unwrap_err();
    assert!(
        matches!(refused, Error::Database(DatabaseError(DatabaseErrorKind::SerializationFailure, _))),
        "{}",
        shown(&refused)
    );
    let deadlocks = "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status \
                     WHERE variable_name = 'Innodb_deadlocks'";
    assert_eq!(database.conn().number(deadlocks), 2);
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
