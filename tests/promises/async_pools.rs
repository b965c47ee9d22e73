//! The asynchronous store over pools that the application built: every law, and connections shared with the
//! application.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use diesel::dsl;
use diesel::sql_types::BigInt;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::{
    AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _, pooled_connection as pools,
};
use diesel_session::{
    AsyncDieselSession, AsyncNow as _, AsyncPool, AsyncSessions as _, Builder, Error, Expiry, OwnerLimit,
    TimeDelta,
};
use tokio::time::timeout;
use tokio_postgres::{CancelToken, NoTls};

use crate::support::{Database, Sql as _, WAITERS, bounded};
use crate::waiting::{Waiting, made, runtime};

/// How many connections each pool has.
const SIZE: u32 = 2;

type Store<P> = AsyncDieselSession<P>;

fn manager(database: &Database) -> AsyncDieselConnectionManager<AsyncPgConnection> {
    AsyncDieselConnectionManager::new(&database.url)
}

/// Checks a law on a store over a pool. The application holds half of the pool's connections.
fn hold<P: AsyncPool>(
    pool: impl AsyncFnOnce(&Database) -> P,
    settings: Builder<AsyncPgConnection, P>,
    law: impl FnOnce(&Waiting<Store<P>>),
) {
    let database = Database::new();
    let store = made(async {
        let store = settings.over(pool(&database).await).unwrap();
        store.migrate().await.unwrap();
        store
    });
    let held = store.block_on(store.store().pool().connection()).unwrap();
    law(&store);
    // mobc takes a connection back only on a runtime.
    store.block_on(async { drop(held) });
}

/// The application writes to its own table and creates a session in one transaction, on one connection of the pool.
async fn is_shared<P: AsyncPool>(pool: P) {
    let store = Store::<P>::builder().over(pool.clone()).unwrap();
    assert_eq!(store.pool().size(), SIZE);
    store.migrate().await.unwrap();
    let mut conn = pool.connection().await.unwrap();
    conn.batch_execute("CREATE TABLE notes (note text); BEGIN; INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    let key = store.on(&mut conn).generate(Some("b"), None).await.unwrap();
    conn.batch_execute("COMMIT").await.unwrap();
    let notes: i64 = dsl::sql::<BigInt>("SELECT count(*) FROM notes").get_result(&mut *conn).await.unwrap();
    assert_eq!(notes, 1);
    assert_eq!(store.get(&key).await.unwrap().0, "b");
    drop(conn);
    // All connections of the pool have come back.
    let mut lent = Vec::new();
    for _ in 0..SIZE {
        lent.push(pool.connection().await.unwrap());
    }
    assert_eq!(pool.connections(), SIZE);
}

/// Another connection holds a lock for longer than a call may take, and the pool's connections have no statement
/// timeout.
async fn what_is_late_is_cancelled<P: AsyncPool>(pool: P, database: &Database) {
    let second = TimeDelta::seconds(1);
    let builder = Store::<P>::builder().connection_timeout(second).statement_timeout(second);
    // Every second request gets lost, beginning with the first.
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let cancel = move |token: CancelToken| {
        let is_lost = counted.fetch_add(1, Ordering::SeqCst) % 2 == 0;
        async move { if is_lost { Ok(()) } else { token.cancel_query(NoTls).await } }
    };
    let store = builder.pipelined(1).cancel_with(cancel).over(pool).unwrap();
    store.migrate().await.unwrap();
    let key = store.generate(Some("x"), None).await.unwrap();
    store.get(&key).await.unwrap();
    let mut admin = database.conn();
    admin.run("BEGIN; LOCK TABLE session");
    assert!(matches!(store.get(&key).await, Err(Error::ServerTimeout { .. })));
    assert!(matches!(store.set(&key, "y", None).await, Err(Error::ServerTimeout { .. })));
    // The lock is still held.
    admin.wait_until(WAITERS, |waiters| waiters == 0);
    assert!(AtomicUsize::load(&requests, Ordering::SeqCst) >= 2, "nobody asked again");
    admin.run("ROLLBACK");
    assert_eq!(store.get(&key).await.unwrap().0, "x");
}

/// The future of an update is dropped while it waits for the session's lock. Its connection has an open transaction. If
/// the pool lent it again, later writes would get lost in that transaction.
async fn a_dropped_update_leaves_no_transaction<P: AsyncPool>(pool: P, database: &Database) {
    let store = Store::<P>::builder().over(pool).unwrap();
    store.migrate().await.unwrap();
    let key = store.generate(Some("x"), None).await.unwrap();
    let mut admin = database.conn();
    admin.run("BEGIN; UPDATE session SET label = 'locked'");
    let update = store.update(&key, Expiry::Keep, |_| Ok::<_, Error>("dropped".to_owned()));
    assert!(timeout(Duration::from_millis(300), update).await.is_err());
    admin.wait_for_a_waiter();
    admin.run("ROLLBACK");
    admin.wait_until(WAITERS, |waiters| waiters == 0);
    for value in 0..2 * SIZE {
        store.set(&key, &value.to_string(), None).await.unwrap();
        assert_eq!(admin.text("SELECT session_data AS value FROM session"), value.to_string());
    }
}

/// A program has one static store, and starts a runtime for each test or command.
fn outlives_its_runtime<P: AsyncPool>(pool: impl AsyncFnOnce(&Database) -> P) {
    let database = Database::new();
    let first = runtime();
    let store = first.block_on(async {
        let store = Store::<P>::builder().pipelined(1).over(pool(&database).await).unwrap();
        store.migrate().await.unwrap();
        let key = store.generate(Some("a"), None).await.unwrap();
        store.get(&key).await.unwrap();
        store
    });
    drop(first);
    for _ in 0..3 {
        runtime().block_on(async {
            let key = store.generate(Some("a"), None).await.unwrap();
            assert_eq!(store.get(&key).await.unwrap().0, "a");
        });
    }
}

#[test]
fn a_store_over_deadpool_outlives_its_runtime() {
    outlives_its_runtime(deadpool::pool);
}

#[test]
fn a_store_over_mobc_outlives_its_runtime() {
    outlives_its_runtime(mobc::pool);
}

macro_rules! over_a_pool {
    ($pool:ident, $new:expr) => {
        mod $pool {
            use super::*;

            type Pool = pools::$pool::Pool<AsyncPgConnection>;

            pub(super) async fn pool(database: &Database) -> Pool {
                let new: fn(_) -> _ = $new;
                new(manager(database)).await
            }

            #[test]
            fn the_application_and_the_store_share_the_pool() {
                let database = Database::new();
                runtime().block_on(async { is_shared(pool(&database).await).await });
            }

            #[test]
            fn what_is_late_is_cancelled_and_leaves_no_server_process() {
                let database = Database::new();
                runtime()
                    .block_on(async { what_is_late_is_cancelled(pool(&database).await, &database).await });
            }

            #[test]
            fn a_dropped_update_leaves_no_transaction_behind() {
                let database = Database::new();
                runtime().block_on(async {
                    a_dropped_update_leaves_no_transaction(pool(&database).await, &database).await;
                });
            }

            /// That happens at the end of `main`, for example.
            #[test]
            fn a_store_that_shares_connections_can_be_dropped_outside_of_a_runtime() {
                let made = || {
                    let (database, runtime) = (Database::new(), runtime());
                    let store = runtime.block_on(async {
                        let store =
                            Store::<Pool>::builder().pipelined(1).over(pool(&database).await).unwrap();
                        store.migrate().await.unwrap();
                        let key = store.generate(Some("x"), None).await.unwrap();
                        store.get(&key).await.unwrap();
                        store
                    });
                    (database, runtime, store)
                };
                let (_database, runtime, store) = made();
                drop(store);
                drop(runtime);
                let (_database, runtime, store) = made();
                drop(runtime);
                drop(store);
            }

            fn with_store(law: impl FnOnce(&Waiting<Store<Pool>>)) {
                hold(pool, Store::<Pool>::builder(), law);
            }

            fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Waiting<Store<Pool>>)) {
                hold(pool, bounded(limit), law);
            }

            diesel_session::conformance_tests!(with_store);
            diesel_session::sessions_conformance_tests!(with_store, with_bounds);
        }
    };
}

over_a_pool!(deadpool, |manager| async {
    pools::deadpool::Pool::builder(manager).max_size(SIZE as usize).build().unwrap()
});
over_a_pool!(bb8, |manager| async {
    pools::bb8::Pool::builder().max_size(SIZE).build(manager).await.unwrap()
});
over_a_pool!(mobc, |manager| async { pools::mobc::Pool::builder().max_open(SIZE.into()).build(manager) });
