//! A server that accepts no writes for a while, for example in a failover or with a full disk. Connections must not
//! stay read-only for ever.

use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::result::DatabaseErrorKind::ReadOnlyTransaction;
use diesel::result::Error::DatabaseError;
use diesel_session::{AsyncDieselSession, Error, Now as _, SessionKey};
use throwaway_postgres::Server;

use crate::pool::{Operation, run};
use crate::support::{Postgres, Sql as _, Store};
use crate::waiting::made;

const WRITES: [Operation; 8] = [
    Operation::Set,
    Operation::Generate,
    Operation::Touch,
    Operation::Update,
    Operation::Replace,
    Operation::Rotate,
    Operation::Bind,
    Operation::ClearOwner,
];

/// A server, and the URL of another database on it for the administrator.
struct Role {
    server: Server,
    elsewhere: String,
}

impl Role {
    fn new() -> Self {
        let server = Server::start(&[]).unwrap();
        let elsewhere = server.url("template1");
        Self { server, elsewhere }
    }

    fn admin(&self, statements: &str) {
        let mut admin = PgConnection::establish(&self.elsewhere).unwrap();
        // The role is read-only in this session as well.
        admin.run("SET default_transaction_read_only = off");
        admin.run(statements);
    }

    /// Makes new connections of the role read-only, and ends the existing ones.
    fn read_only(&self) {
        self.admin(
            "ALTER ROLE postgres SET default_transaction_read_only = on; \
             SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'postgres'",
        );
    }

    /// Makes new connections accept writes again. Existing ones do not.
    fn writable(&self) {
        self.admin("ALTER ROLE postgres RESET default_transaction_read_only");
    }
}

fn every_write_works_after_a_read_only_time<S: Store>(role: &Role, store: &S, fill: impl Fn(&S)) {
    // This store has another pool, without read-only connections at the time of the call.
    let elsewhere = Postgres::builder().pool_size(1).connect(&role.server.url("postgres")).unwrap();
    let survivor = store.generate(Some("x"), None).unwrap();
    for operation in WRITES {
        let key: SessionKey = store.generate(Some("x"), None).unwrap();
        role.read_only();
        fill(store);
        assert_eq!(store.get(&key).unwrap().0, "x", "reads go on");
        let refused = run(store, operation, &key);
        assert!(matches!(refused, Err(Error::ReadOnly { .. })), "{operation:?}: {refused:?}");
        fill(store);
        role.writable();
        // For a second after all were read-only, a call tries only one connection. The pool has three of them.
        let refused = (0..4).map(|_| run(store, operation, &key)).take_while(Result::is_err).count();
        assert!(refused <= 3, "{operation:?}");
        // After that, a call tries all of them.
        role.read_only();
        // A read meets the ended connections. After it, each connection is read-only.
        let seen = store.get(&survivor).unwrap().0;
        assert_eq!(seen, "x");
        fill(store);
        role.writable();
        thread::sleep(Duration::from_secs(1));
        let key = elsewhere.generate(Some("x"), None).unwrap();
        run(store, operation, &key).unwrap_or_else(|error| panic!("{operation:?}: {error:?}"));
    }
}

#[test]
fn every_write_works_again_after_the_server_was_read_only() {
    let role = Role::new();
    let store = Postgres::builder().pool_size(3).connect(&role.server.url("postgres")).unwrap();
    store.migrate().unwrap();
    every_write_works_after_a_read_only_time(&role, &store, |store| {
        let conns: Vec<_> = (0..3).map(|_| store.pool().get().unwrap()).collect();
        drop(conns);
    });
}

#[test]
fn every_write_works_again_after_the_server_was_read_only_on_the_asynchronous_store() {
    let role = Role::new();
    let store = made(async {
        let builder = AsyncDieselSession::builder().pool_size(3);
        let store = builder.connect(&role.server.url("postgres")).await.unwrap();
        store.migrate().await.unwrap();
        store
    });
    every_write_works_after_a_read_only_time(&role, &store, |store| {
        store.block_on(async {
            let pool = store.store().pool();
            let conns = [pool.get().await, pool.get().await, pool.get().await];
            assert!(conns.iter().all(Result::is_ok));
        });
    });
}

/// The store knows nothing of a caller's transaction, so it keeps the connection and returns Diesel's error.
#[test]
fn a_read_only_transaction_of_the_caller_keeps_its_connection_and_gets_diesels_error() {
    let database = crate::support::Database::new();
    let store = database.store();
    let key = store.generate(Some("x"), None).unwrap();
    let mut conn = store.pool().get().unwrap();
    conn.run("BEGIN READ ONLY");
    let refused = store.on(&mut conn).set(&key, "y", None);
    assert!(matches!(refused, Err(Error::Database(DatabaseError(ReadOnlyTransaction, _)))), "{refused:?}");
    conn.run("ROLLBACK");
    store.on(&mut conn).set(&key, "y", None).unwrap();
}

/// The store must not open one connection after another to a server in trouble. Each call gives up one that it has.
#[test]
fn calls_to_a_read_only_server_do_not_connect_again_and_again() {
    let role = Role::new();
    let store = Postgres::builder().pool_size(3).connect(&role.server.url("postgres")).unwrap();
    store.migrate().unwrap();
    let key = store.generate(Some("x"), None).unwrap();
    role.read_only();
    let before = role.server.log().unwrap().matches("connection authorized").count();
    assert_eq!(before, 0, "connections are not logged yet");
    role.admin("ALTER SYSTEM SET log_connections = on");
    role.admin("SELECT pg_reload_conf()");
    assert!(matches!(store.set(&key, "y", None), Err(Error::ReadOnly { .. })));
    let connected = || role.server.log().unwrap().matches("connection authorized").count();
    let before = connected();
    let started = Instant::now();
    for _ in 0..20 {
        assert!(matches!(store.set(&key, "y", None), Err(Error::ReadOnly { .. })));
    }
    // One connection for each call, and once in a second another for each connection of the pool.
    let rounds = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    let (connected, most) = (connected() - before, 20 + rounds * 5);
    assert!((1..=most).contains(&connected), "{connected} connections for 20 calls");
}
