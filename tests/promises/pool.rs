//! Servers that go away, come back, or stop answering. The original never recovered (fault 13).

use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_session::{ConnectOptions, DieselSession, Error, Expiry, Now, SessionKey, Sessions, TimeDelta};
use throwaway_postgres::Server;

use crate::support::{Database, File, LATE, Postgres, Sql, Store};

const SHORT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Get,
    Set,
    Generate,
    Clear,
    Touch,
    Update,
    Replace,
    Rotate,
    Bind,
    ClearOwner,
}

use Operation::{Bind, Clear, ClearOwner, Generate, Get, Replace, Rotate, Set, Touch, Update};

pub(crate) fn run(store: &impl Store, operation: Operation, key: &SessionKey) -> Result<(), Error> {
    match operation {
        Get => store.get(key).map(drop),
        Set => store.set(key, "y", None),
        Generate => store.generate(Some("x"), None).map(drop),
        Clear => store.clear(key),
        Touch => store.touch(key, Expiry::Default).map(drop),
        Update => store.update(key, Expiry::Default, |_| Ok::<_, Error>("y".to_owned())).map(drop),
        Replace => store.replace(key, Some("x"), "y", Expiry::Default),
        Rotate => store.rotate(key).map(drop),
        Bind => store.bind(key, "alice"),
        ClearOwner => store.clear_owner("alice", None).map(drop),
    }
}

/// Opens every connection of the pool. If `cached` is set, it also prepares every statement on each.
fn fill(store: &Postgres, cached: bool) {
    let mut conns: Vec<_> = (0..store.pool().max_size()).map(|_| store.pool().get().unwrap()).collect();
    for conn in &mut conns {
        if cached {
            let key = store.on(conn).generate(Some("x"), None).unwrap();
            store.on(conn).set(&key, "y", None).unwrap();
            store.on(conn).get(&key).unwrap();
            store.on(conn).touch(&key, Expiry::Default).unwrap();
            store.on(conn).update(&key, Expiry::Default, |_| Ok::<_, Error>("y".to_owned())).unwrap();
            store.on(conn).replace(&key, Some("y"), "x", Expiry::Default).unwrap();
            let key = store.on(conn).rotate(&key).unwrap();
            store.on(conn).bind(&key, "bob").unwrap();
            store.on(conn).clear_owner("bob", None).unwrap();
            store.on(conn).clear(&key).unwrap();
        }
    }
}

/// Breaks every connection of the pool with `break_all`. Each operation must then succeed at once. The function `fill`
/// opens all connections, and prepares every statement on each if its flag is set.
pub(crate) fn recovers<S: Store>(store: &S, fill: impl Fn(&S, bool), mut break_all: impl FnMut()) {
    for cached in [false, true] {
        for operation in [Get, Set, Generate, Clear, Touch, Update, Replace, Rotate, Bind, ClearOwner] {
            let key = store.generate(Some("x"), None).unwrap();
            fill(store, cached);
            break_all();
            run(store, operation, &key)
                .unwrap_or_else(|error| panic!("{operation:?}, cached: {cached}: {error:?}"));
            // The rest of the pool is broken as well, but no caller notices.
            for _ in 0..8 {
                run(store, Generate, &key).unwrap();
            }
        }
    }
}

#[test]
fn killed_connections_cause_no_error() {
    let database = Database::new();
    let store = database.store();
    let mut admin = database.conn();
    recovers(&store, fill, || admin.end_other_connections());
}

#[test]
fn a_restart_of_the_server_causes_no_error_afterwards() {
    let mut server = Server::start(&["synchronous_commit=on"]).unwrap();
    let store = Postgres::builder().pool_size(3).connect(&server.url("postgres")).unwrap();
    store.migrate().unwrap();
    recovers(&store, fill, || {
        server.stop().unwrap();
        server.start_again().unwrap();
    });
}

#[test]
fn without_bounded_calls_the_pool_recovers_as_well() {
    let database = Database::new();
    let store = Postgres::builder().bounded_calls(false).pool_size(3).connect(&database.url).unwrap();
    store.migrate().unwrap();
    let mut admin = database.conn();
    recovers(&store, fill, || admin.end_other_connections());
}

#[test]
fn the_applications_own_pool_recovers_as_well() {
    let database = Database::new();
    let pool = Pool::builder()
        .max_size(3)
        .min_idle(Some(1))
        .test_on_check_out(false)
        .build(ConnectionManager::<PgConnection>::new(&database.url))
        .unwrap();
    let store = DieselSession::new(pool);
    store.migrate().unwrap();
    let mut admin = database.conn();
    recovers(&store, fill, || admin.end_other_connections());
}

#[test]
fn a_server_that_is_down_causes_a_typed_error_until_it_is_back() {
    let mut server = Server::start(&[]).unwrap();
    let store = Postgres::builder()
        .connection_timeout(TimeDelta::seconds(1))
        .connect(&server.url("postgres"))
        .unwrap();
    store.migrate().unwrap();
    let key = store.generate(Some("x"), None).unwrap();
    server.stop().unwrap();
    for operation in [Get, Set, Generate, Clear] {
        let started = Instant::now();
        let error = run(&store, operation, &key).unwrap_err();
        assert!(matches!(error, Error::ConnectionLost { .. } | Error::PoolTimeout { .. }), "{error:?}");
        assert!(started.elapsed() < LATE);
    }
    server.start_again().unwrap();
    store.generate(None, None).unwrap();
}

#[test]
fn a_server_that_is_down_at_the_start_is_a_typed_error() {
    let mut server = Server::start(&[]).unwrap();
    server.stop().unwrap();
    let url = server.url("postgres");
    let started = Instant::now();
    let error = Postgres::builder().connection_timeout(TimeDelta::seconds(1)).connect(&url).unwrap_err();
    assert!(matches!(&error, Error::PoolTimeout { .. }), "{error:?}");
    assert!(started.elapsed() < LATE);

    // With `startonly`, `connect` does not wait, and the first call after the server is up succeeds.
    let options: ConnectOptions = url.parse().unwrap();
    let store = Postgres::builder().connect_with(&options.startonly(true)).unwrap();
    server.start_again().unwrap();
    store.migrate().unwrap();
    store.generate(None, None).unwrap();
}

#[test]
fn a_call_to_a_server_that_no_longer_answers_ends_in_time() {
    let mut server = Server::start(&[]).unwrap();
    let builder = Postgres::builder()
        .connection_timeout(TimeDelta::seconds(1))
        .statement_timeout(TimeDelta::seconds(1))
        .pool_size(4);
    let store = builder.connect(&server.url("postgres")).unwrap();
    store.migrate().unwrap();
    let key = store.generate(Some("x"), None).unwrap();
    fill(&store, true);
    server.pause().unwrap();
    for operation in [Get, Set, Generate, Clear] {
        let started = Instant::now();
        let error = run(&store, operation, &key).unwrap_err();
        // After the first call, the store has another pool, which gets no connection.
        let is_late = match error {
            Error::ServerTimeout { .. } => matches!(operation, Get),
            Error::PoolTimeout { .. } => !matches!(operation, Get),
            _ => false,
        };
        assert!(is_late, "{operation:?}: {error:?}");
        assert!(started.elapsed() >= SHORT && started.elapsed() < LATE);
    }
    server.resume().unwrap();
    // The calls that were under way take effect now, in any order, so `clear` may be the last or not. The store serves
    // as before.
    let key = store.generate(Some("x"), None).unwrap();
    assert_eq!(store.get(&key).unwrap().0, "x");
}

#[test]
fn migrating_does_not_wait_for_a_server_that_no_longer_answers() {
    let mut server = Server::start(&[]).unwrap();
    let second = TimeDelta::seconds(1);
    let builder = Postgres::builder().connection_timeout(second).statement_timeout(second);
    let store = builder.connect(&server.url("postgres")).unwrap();
    store.migrate().unwrap();
    server.pause().unwrap();
    let started = Instant::now();
    let error = store.migrate().unwrap_err();
    assert!(matches!(error, Error::ServerTimeout { .. }), "{error:?}");
    assert!(started.elapsed() < LATE);
    server.resume().unwrap();
    assert_eq!(store.migrate().unwrap(), 0);
}

#[test]
fn a_slow_statement_ends_in_time() {
    let database = Database::new();
    let store = Postgres::builder().statement_timeout(TimeDelta::seconds(1)).connect(&database.url).unwrap();
    store.migrate().unwrap();
    let key = store.generate(Some("x"), None).unwrap();
    let mut locker = database.conn();
    locker.begin_test_transaction().unwrap();
    locker.run("LOCK TABLE session");
    let started = Instant::now();
    assert!(matches!(store.get(&key), Err(Error::Database(_))));
    assert!(started.elapsed() < LATE);
    drop(locker);
    store.get(&key).unwrap();
}

#[test]
fn an_update_that_calls_its_store_fails_instead_of_waiting() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().pool_size(1));
    let key = store.generate(Some("x"), None).unwrap();
    let updated = store.update(&key, Expiry::Default, |_| store.get(&key).map(|(value, _)| value));
    assert!(matches!(updated, Err(Error::WithinUpdate)), "{updated:?}");
    assert_eq!(store.get(&key).unwrap().0, "x");
}

/// A call may take two seconds here. The time of the caller's function does not count.
#[test]
fn a_slow_function_uses_up_none_of_an_updates_time() {
    let database = Database::new();
    let store = database.store_with(
        Postgres::builder()
            .connection_timeout(TimeDelta::seconds(1))
            .statement_timeout(TimeDelta::seconds(1)),
    );
    let key = store.generate(Some("x"), None).unwrap();
    let updated = store.update(&key, Expiry::Default, |_| {
        let started = Instant::now();
        while started.elapsed() < 3 * SHORT {
            std::thread::park_timeout(3 * SHORT);
        }
        Ok::<_, Error>("y".to_owned())
    });
    assert_eq!(updated.unwrap(), "y");
    assert_eq!(store.get(&key).unwrap().0, "y");
}

#[test]
fn an_exhausted_pool_is_a_typed_error() {
    fn exhausted<S: Now<Key = SessionKey, Value = str, Error = Error>>(store: &S) {
        let started = Instant::now();
        let error = store.generate(None, None).unwrap_err();
        assert!(matches!(error, Error::PoolTimeout { waited, .. } if waited >= SHORT));
        assert!(started.elapsed() < LATE);
    }
    let database = Database::new();
    let store = Postgres::builder()
        .pool_size(1)
        .connection_timeout(TimeDelta::seconds(1))
        .connect(&database.url)
        .unwrap();
    store.migrate().unwrap();
    let held = store.pool().get().unwrap();
    exhausted(&store);
    drop(held);
    store.generate(None, None).unwrap();

    let file = File::new();
    let store = crate::support::Sqlite::builder()
        .pool_size(1)
        .connection_timeout(TimeDelta::seconds(1))
        .connect(&file.path)
        .unwrap();
    store.migrate().unwrap();
    let held = store.pool().get().unwrap();
    exhausted(&store);
    drop(held);
    store.generate(None, None).unwrap();
}

#[test]
fn migrating_and_checking_recover_as_well() {
    let database = Database::new();
    let store = database.store();
    fill(&store, true);
    database.conn().end_other_connections();
    store.check().unwrap();
    fill(&store, true);
    database.conn().end_other_connections();
    assert_eq!(store.migrate().unwrap(), 0);
}

#[test]
fn connection_settings_are_refused_for_an_existing_pool() {
    let pool = || Pool::new(ConnectionManager::<SqliteConnection>::new(":memory:")).unwrap();
    let refused = crate::support::Sqlite::builder().pool_size(3).over(pool());
    assert!(matches!(refused, Err(Error::Configuration { setting: "pool", .. })));
    let store = crate::support::Sqlite::builder().value_limit(3).over(pool()).unwrap();
    store.set_default_period(TimeDelta::hours(1)).unwrap();
}

/// Under an isolation stricter than the default, two writers of one session conflict.
#[test]
fn a_conflict_between_single_statements_causes_no_error() {
    let database = Database::new();
    database.conn().run(&format!(
        "ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'",
        database.name()
    ));
    let store = database.store();
    let key = store.generate(Some("x"), None).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..200).for_each(|n| store.set(&key, &n.to_string(), None).unwrap()));
        }
    });
    assert_eq!(store.get(&key).unwrap().0, "199");
}

#[test]
fn a_session_is_read_and_written_beside_other_writers_in_an_immediate_transaction() {
    let file = File::new();
    let store = file.store();
    let key = store.generate(Some("0"), None).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut conn = store.pool().get().unwrap();
                for _ in 0..50 {
                    conn.immediate_transaction(|conn| {
                        let (count, _left) = store.on(conn).get(&key)?;
                        let next = count.parse::<u32>().unwrap() + 1;
                        store.on(conn).set(&key, &next.to_string(), None)
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(store.get(&key).unwrap().0, "200");
}

#[test]
fn a_locked_sqlite_file_causes_a_typed_error_after_a_wait() {
    let file = File::new();
    let store = crate::support::Sqlite::builder()
        .statement_timeout(TimeDelta::seconds(1))
        .connect(&file.path)
        .unwrap();
    store.migrate().unwrap();
    let key = store.generate(Some("x"), None).unwrap();
    let mut writer = file.conn();
    writer.run("BEGIN IMMEDIATE");
    let started = Instant::now();
    assert!(matches!(store.set(&key, "y", None), Err(Error::Database(_))));
    assert!(started.elapsed() >= SHORT && started.elapsed() < LATE);
    assert_eq!(store.get(&key).unwrap().0, "x", "readers go on");
    writer.run("COMMIT");
    store.set(&key, "y", None).unwrap();
}
