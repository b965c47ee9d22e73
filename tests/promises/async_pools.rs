//! The store that does not block over pools that the application made: every law, and connections shared with the
//! application.

use std::time::{Duration, Instant};

use diesel::dsl;
use diesel::sql_types::BigInt;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::{
    AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _, pooled_connection as pools,
};
use diesel_session::{AsyncDieselSession, AsyncNow as _, AsyncPool, Builder, Error, OwnerLimit, TimeDelta};
use tokio::time::sleep;

use crate::support::{Database, LATE, Sql as _, WAITERS, bounded};
use crate::waiting::{Waiting, made, runtime};

/// How many connections each pool has.
const SIZE: u32 = 2;

type Store<P> = AsyncDieselSession<P>;

fn manager(database: &Database) -> AsyncDieselConnectionManager<AsyncPgConnection> {
    AsyncDieselConnectionManager::new(&database.url)
}

/// Holds a law against a store over a pool that makes half of its connections for the application.
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
    // To mobc a connection comes back on a runtime only.
    store.block_on(async { drop(held) });
}

/// The application writes a table of its own and a session in one transaction, on one connection of the pool.
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
    // All that the pool has made were given back.
    let mut lent = Vec::new();
    for _ in 0..SIZE {
        lent.push(pool.connection().await.unwrap());
    }
    assert_eq!(pool.connections(), SIZE);
}

/// Another connection holds a lock for longer than a call may take, and the pool's connections have no limit of their own.
async fn what_is_late_is_cancelled<P: AsyncPool>(pool: P, database: &Database) {
    let second = TimeDelta::seconds(1);
    let builder = Store::<P>::builder().connection_timeout(second).statement_timeout(second);
    let store = builder.pipelined(1).over(pool).unwrap();
    store.migrate().await.unwrap();
    let key = store.generate(Some("x"), None).await.unwrap();
    store.get(&key).await.unwrap();
    let mut admin = database.conn();
    admin.run("BEGIN; LOCK TABLE session");
    assert!(matches!(store.get(&key).await, Err(Error::ServerTimeout { .. })));
    assert!(matches!(store.set(&key, "y", None).await, Err(Error::ServerTimeout { .. })));
    let started = Instant::now();
    // The lock is still held.
    while database.conn().number(WAITERS) > 0 {
        assert!(started.elapsed() < LATE, "a server process still waits");
        sleep(Duration::from_millis(20)).await;
    }
    admin.run("ROLLBACK");
    assert_eq!(store.get(&key).await.unwrap().0, "x");
}

macro_rules! over_a_pool {
    ($pool:ident, $new:expr) => {
        mod $pool {
            use super::*;

            type Pool = pools::$pool::Pool<AsyncPgConnection>;

            async fn pool(database: &Database) -> Pool {
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

            /// At the end of `main`, for example.
            #[test]
            fn a_store_that_shares_connections_can_be_dropped_outside_of_a_runtime() {
                let database = Database::new();
                let runtime = runtime();
                let store = runtime.block_on(async {
                    let store = Store::<Pool>::builder().pipelined(1).over(pool(&database).await).unwrap();
                    store.migrate().await.unwrap();
                    let key = store.generate(Some("x"), None).await.unwrap();
                    store.get(&key).await.unwrap();
                    store
                });
                drop(store);
                drop(runtime);
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
