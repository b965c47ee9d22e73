//! `test_transaction`, which puts each test into its own transaction.

use diesel_session::{AsyncDieselSession, AsyncNow as _, AsyncPool as _, Error, Now, TimeDelta};

use crate::support::{Database, File, Postgres, Sql, Sqlite};
use crate::waiting::runtime;

#[test]
fn a_test_leaves_nothing_behind() {
    let database = Database::new();
    let store = Postgres::builder().test_transaction(&database.url).unwrap();
    let key = store.generate(Some("x"), None).unwrap();
    assert_eq!(store.get(&key).unwrap().0, "x");
    assert_eq!(database.conn().number("SELECT count(*) FROM session"), 0);
    drop(store);
    assert_eq!(database.conn().number("SELECT count(*) FROM session"), 0);

    let file = File::new();
    let store = Sqlite::builder().test_transaction(&file.path).unwrap();
    let key = store.generate(Some("x"), None).unwrap();
    assert_eq!(store.get(&key).unwrap().0, "x");
    drop(store);
    assert_eq!(file.conn().number("SELECT count(*) FROM session"), 0);
}

#[test]
fn the_application_shares_the_tests_transaction() {
    let database = Database::new();
    database.conn().run("CREATE TABLE orders (item text NOT NULL)");
    let store = Postgres::builder().test_transaction(&database.url).unwrap();
    let key = store.generate(Some("x"), None).unwrap();
    let mut conn = store.pool().get().unwrap();
    conn.run("INSERT INTO orders SELECT session_data FROM session");
    assert_eq!(conn.text("SELECT item FROM orders"), "x");
    store.on(&mut conn).clear(&key).unwrap();
}

#[test]
fn tests_run_side_by_side() {
    let database = Database::new();
    let one = Postgres::builder().test_transaction(&database.url).unwrap();
    let two = Postgres::builder().test_transaction(&database.url).unwrap();
    let key = one.generate(Some("x"), None).unwrap();
    assert!(matches!(two.get(&key), Err(Error::NotFound)));
    two.generate(None, None).unwrap();
    one.get(&key).unwrap();
}

#[test]
fn a_missing_session_or_a_refused_value_leaves_the_transaction_usable() {
    let database = Database::new();
    let store = Postgres::builder().test_transaction(&database.url).unwrap();
    let unknown = "0000000000000000000000000000000000000000".parse().unwrap();
    assert!(matches!(store.get(&unknown), Err(Error::NotFound)));
    assert!(matches!(store.set(&unknown, "x", None), Err(Error::NotFound)));
    assert!(matches!(store.generate(Some("\0"), None), Err(Error::ValueHasNul { .. })));
    let key = store.generate(None, None).unwrap();
    assert!(matches!(store.get(&key), Err(Error::NotSet)));
    store.set(&key, "x", None).unwrap();
}

#[test]
fn a_lost_connection_fails_loudly_and_is_never_replaced() {
    let database = Database::new();
    let store = Postgres::builder().test_transaction(&database.url).unwrap();
    let key = store.generate(Some("x"), None).unwrap();
    database.conn().end_other_connections();
    for _ in 0..3 {
        let error = store.get(&key).unwrap_err();
        assert!(matches!(error, Error::Database(_) | Error::PoolTimeout { .. }), "{error:?}");
        assert!(matches!(store.generate(None, None), Err(Error::Database(_) | Error::PoolTimeout { .. })));
    }
}

#[test]
fn a_tests_pool_has_one_connection() {
    let refused = Sqlite::builder().pool_size(3).test_transaction(":memory:");
    assert!(matches!(refused, Err(Error::Configuration { setting: "pool_size", .. })));
}

#[test]
fn a_failed_migration_is_a_typed_error() {
    let database = Database::new();
    database.conn().run("CREATE TABLE session (id integer)");
    let error = Postgres::builder().test_transaction(&database.url).unwrap_err();
    assert!(matches!(error, Error::Migration(_)), "{error:?}");
}

#[test]
fn an_asynchronous_test_leaves_nothing_behind() {
    let database = Database::new();
    let rows = || database.conn().number("SELECT count(*) FROM session");
    runtime().block_on(async {
        let store = AsyncDieselSession::builder().test_transaction(&database.url).await.unwrap();
        let unknown = "0000000000000000000000000000000000000000".parse().unwrap();
        assert!(matches!(store.get(&unknown).await, Err(Error::NotFound)));
        let key = store.generate(Some("x"), None).await.unwrap();
        let mut conn = store.pool().connection().await.unwrap();
        assert_eq!(store.on(&mut conn).get(&key).await.unwrap().0, "x");
        drop(conn);
        assert_eq!(rows(), 0);
        let refused = AsyncDieselSession::builder().pool_size(3).test_transaction(&database.url).await;
        assert!(matches!(refused, Err(Error::Configuration { setting: "pool_size", .. })));
    });
    assert_eq!(rows(), 0);
}

#[test]
fn an_asynchronous_tests_lost_connection_is_never_replaced() {
    let database = Database::new();
    runtime().block_on(async {
        let builder = AsyncDieselSession::builder().connection_timeout(TimeDelta::seconds(1));
        let store = builder.test_transaction(&database.url).await.unwrap();
        let key = store.generate(Some("x"), None).await.unwrap();
        database.conn().end_other_connections();
        for _ in 0..2 {
            let error = store.get(&key).await.unwrap_err();
            assert!(matches!(error, Error::Database(_) | Error::PoolTimeout { .. }), "{error:?}");
        }
    });
}
