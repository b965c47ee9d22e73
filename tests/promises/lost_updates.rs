//! Two writers of one session never lose an update. The tests commit, and use parallel connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel_session::{
    AsyncDieselSession, Error, Expiry, MemorySession, Now, SessionKey, Sessions, TimeDelta,
};
use throwaway_postgres::Server;

use crate::support::{Database, File, MARIADB_WAITERS, MariaDb, Postgres, Sql, Store, at_once};
use crate::waiting::made;

/// Adds one to a counter, which is a decimal number.
pub(crate) fn plus_one(value: Option<String>) -> String {
    (value.map_or(0, |value| value.parse::<u32>().unwrap()) + 1).to_string()
}

fn eight_threads_count_to_8_000(store: &impl Store) {
    let key = store.generate(None, None).unwrap();
    at_once(8, |_| {
        for _ in 0..1_000 {
            store.update(&key, Expiry::Default, |value| Ok::<_, Error>(plus_one(value))).unwrap();
        }
    });
    assert_eq!(store.get(&key).unwrap().0, "8000");
}

#[test]
fn eight_threads_that_update_one_counter_lose_nothing_on_postgres() {
    let database = Database::new();
    eight_threads_count_to_8_000(&database.store());
}

#[test]
fn eight_threads_that_update_one_counter_lose_nothing_on_the_asynchronous_store() {
    let database = Database::new();
    let store = made(database.async_store_with(AsyncDieselSession::builder().pipelined(2)));
    eight_threads_count_to_8_000(&store);
    replacing_loses_nothing(&store);
}

#[test]
fn eight_threads_that_update_one_counter_lose_nothing_on_sqlite() {
    let file = File::new();
    eight_threads_count_to_8_000(&file.store());
}

#[test]
fn nothing_is_lost_on_mariadb() {
    let database = MariaDb::new();
    eight_threads_count_to_8_000(&database.store());
    replacing_loses_nothing(&database.store());
    let database = MariaDb::new();
    only_one_of_several_concurrent_rotations_succeeds(&database.store());
}

#[test]
fn eight_threads_that_update_one_counter_lose_nothing_under_a_stricter_isolation() {
    let database = Database::new();
    let admin =
        format!("ALTER DATABASE {} SET default_transaction_isolation = 'serializable'", database.name());
    database.conn().run(&admin);
    let store = database.store();
    let key = store.generate(None, None).unwrap();
    at_once(8, |_| {
        for _ in 0..50 {
            store.update(&key, Expiry::Default, |value| Ok::<_, Error>(plus_one(value))).unwrap();
        }
    });
    assert_eq!(store.get(&key).unwrap().0, "400");
}

/// Each thread retries its `replace` until the comparison succeeds.
fn replacing_loses_nothing(store: &impl Store) {
    let key = store.generate(Some("0"), None).unwrap();
    at_once(4, |_| {
        for _ in 0..100 {
            loop {
                let (seen, _) = store.get(&key).unwrap();
                match store.replace(&key, Some(&seen), &plus_one(Some(seen.clone())), Expiry::Default) {
                    Ok(()) => break,
                    Err(Error::Changed) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    });
    assert_eq!(store.get(&key).unwrap().0, "400");
}

#[test]
fn replacing_loses_nothing_on_postgres() {
    let database = Database::new();
    replacing_loses_nothing(&database.store());
}

#[test]
fn replacing_loses_nothing_on_sqlite() {
    let file = File::new();
    replacing_loses_nothing(&file.store());
}

#[test]
fn nothing_is_lost_in_memory() {
    let store = MemorySession::new();
    eight_threads_count_to_8_000(&store);
    replacing_loses_nothing(&store);
    only_one_of_several_concurrent_rotations_succeeds(&MemorySession::new());
}

fn only_one_of_several_concurrent_rotations_succeeds(store: &impl Store) {
    for round in 0..50 {
        let key = store.generate(Some(&round.to_string()), None).unwrap();
        let rotated = at_once(4, |_| store.rotate(&key));
        let (won, lost): (Vec<_>, Vec<_>) = rotated.into_iter().partition(Result::is_ok);
        assert!(lost.iter().all(|result| matches!(result, Err(Error::NotFound))), "{lost:?}");
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(store.get(won[0].as_ref().unwrap()).unwrap().0, round.to_string());
        assert!(matches!(store.get(&key), Err(Error::NotFound)));
    }
    assert_eq!(store.count().unwrap().live, 50, "one row a session");
}

#[test]
fn only_one_of_several_concurrent_rotations_succeeds_on_postgres() {
    let database = Database::new();
    only_one_of_several_concurrent_rotations_succeeds(&database.store());
}

#[test]
fn only_one_of_several_concurrent_rotations_succeeds_on_sqlite() {
    let file = File::new();
    only_one_of_several_concurrent_rotations_succeeds(&file.store());
}

#[test]
fn a_rotation_and_an_update_at_once_lose_nothing() {
    let database = Database::new();
    let store = database.store();
    for _ in 0..50 {
        let key = store.generate(Some("1"), None).unwrap();
        let (rotated, updated) = thread::scope(|scope| {
            let rotated = scope.spawn(|| store.rotate(&key));
            let updated = store.update(&key, Expiry::Default, |value| Ok::<_, Error>(plus_one(value)));
            (rotated.join().unwrap().unwrap(), updated)
        });
        // Either the update came first and the rotation kept its value, or the update fails because it came too late.
        let value = store.get(&rotated).unwrap().0;
        match updated {
            Ok(_) => assert_eq!(value, "2"),
            Err(Error::NotFound) => assert_eq!(value, "1"),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_conflict_in_a_stricter_transaction_of_the_caller_is_a_typed_error() {
    use diesel::result::{DatabaseErrorKind, Error as DieselError};

    let database = Database::new();
    let store = database.store();
    let key = store.generate(Some("1"), None).unwrap();
    let mut conn = store.pool().get().unwrap();
    let conflict = conn.build_transaction().repeatable_read().run(|conn| {
        store.on(conn).get(&key)?;
        store.set(&key, "2", None)?;
        store.on(conn).update(&key, Expiry::Default, |value| Ok::<_, Error>(plus_one(value)))
    });
    let Err(Error::Database(DieselError::DatabaseError(kind, _))) = conflict else { panic!("{conflict:?}") };
    assert!(matches!(kind, DatabaseErrorKind::SerializationFailure));
    assert_eq!(store.get(&key).unwrap().0, "2");
}

#[test]
fn an_update_takes_part_in_the_callers_transaction() {
    let database = Database::new();
    let store = database.store();
    let key = store.generate(Some("1"), None).unwrap();
    let mut conn = store.pool().get().unwrap();
    let undone = diesel::Connection::transaction(&mut *conn, |conn| {
        assert_eq!(
            store.on(conn).update(&key, Expiry::Default, |value| Ok::<_, Error>(plus_one(value)))?,
            "2"
        );
        Err::<(), _>(Error::NotSet)
    });
    assert!(matches!(undone, Err(Error::NotSet)));
    assert_eq!(store.get(&key).unwrap().0, "1");
}

#[test]
fn a_panic_in_an_update_costs_the_pool_no_connection() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().pool_size(1));
    let key = store.generate(Some("1"), None).unwrap();
    let connection = |store: &Postgres| store.pool().get().unwrap().number("SELECT pg_backend_pid()::bigint");
    let before = connection(&store);
    let panicking =
        || store.update(&key, Expiry::Default, |_| -> Result<String, Error> { panic!("on purpose") });
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).unwrap_err();
    assert_eq!(connection(&store), before);
    assert_eq!(store.get(&key).unwrap().0, "1");
}

/// Threads rotate sessions until their server is gone. Afterwards each session has one row, and no key works that a
/// later one has replaced.
#[test]
fn a_server_that_dies_during_rotations_leaves_one_row_for_each_session() {
    let mut server = Server::start(&["synchronous_commit=on"]).unwrap();
    let builder = Postgres::builder().connection_timeout(TimeDelta::seconds(1));
    let store = builder.connect(&server.url("postgres")).unwrap();
    store.migrate().unwrap();
    let rotated = AtomicUsize::new(0);
    let keys: Vec<SessionKey> = (0..4).map(|_| store.generate(Some("x"), None).unwrap()).collect();
    let chains: Vec<Vec<SessionKey>> = thread::scope(|scope| {
        let chains: Vec<_> = keys
            .into_iter()
            .map(|key| {
                let (store, rotated) = (&store, &rotated);
                scope.spawn(move || {
                    let mut chain = vec![key];
                    while let Ok(new) = store.rotate(&chain[chain.len() - 1]) {
                        chain.push(new);
                        rotated.fetch_add(1, Ordering::Relaxed);
                    }
                    chain
                })
            })
            .collect();
        while rotated.load(Ordering::Relaxed) < 200 {
            thread::yield_now();
        }
        server.stop().unwrap();
        chains.into_iter().map(|chain| chain.join().unwrap()).collect()
    });
    server.start_again().unwrap();
    let store = Postgres::builder()
        .connection_timeout(TimeDelta::minutes(1))
        .connect(&server.url("postgres"))
        .unwrap();
    assert_eq!(store.count().unwrap().live, 4);
    for chain in &chains {
        // The last key is dead if a rotation after it took effect and its answer was lost.
        let replaced = &chain[..chain.len() - 1];
        assert!(replaced.iter().all(|key| matches!(store.get(key), Err(Error::NotFound))));
    }
}

/// The server ends transactions that are idle for too long. A slow function has no open transaction, unless another
/// writer has come first twice.
fn a_slow_function_is_cut_off_if_it_has_locked(store: &impl Store, other: &impl Store) {
    let key = store.generate(Some("a"), None).unwrap();
    let slow = || thread::sleep(Duration::from_millis(1_200));
    store
        .update(&key, Expiry::Default, |_| {
            slow();
            Ok::<_, Error>("b".to_owned())
        })
        .unwrap();
    let mut seen = 0;
    let result = store.update(&key, Expiry::Default, |_| {
        seen += 1;
        if seen < 3 {
            other.set(&key, &format!("other {seen}"), None)?;
        } else {
            slow();
        }
        Ok::<_, Error>("c".to_owned())
    });
    assert_eq!(seen, 3);
    let Err(error @ Error::Interrupted { runs: 3, .. }) = &result else { panic!("{result:?}") };
    assert!(error.to_string().contains("idle_in_transaction_session_timeout"), "{error}");
    assert_eq!(store.get(&key).unwrap().0, "other 2");
    // A function that is fast enough still works.
    store.update(&key, Expiry::Default, |_| Ok::<_, Error>("d".to_owned())).unwrap();
    assert_eq!(store.get(&key).unwrap().0, "d");
}

#[test]
fn an_update_that_the_server_cuts_off_runs_three_times_at_most_and_says_why() {
    let database = Database::new();
    let timeout = "SET idle_in_transaction_session_timeout = '500ms'";
    database.conn().run(&format!("ALTER DATABASE {} {timeout}", database.name()));
    let other = database.store();
    a_slow_function_is_cut_off_if_it_has_locked(&database.store(), &other);
    let store = made(database.async_store_with(AsyncDieselSession::builder()));
    a_slow_function_is_cut_off_if_it_has_locked(&store, &other);
}

/// The connection is lost while a slow function runs. Nothing was written, so the function runs again.
fn an_update_outlives_a_connection_lost_in_its_function(store: &impl Store, database: &Database) {
    let key = store.generate(Some("0"), None).unwrap();
    let mut runs = 0;
    let updated = store.update(&key, Expiry::Default, |value| {
        runs += 1;
        if runs == 1 {
            database.conn().run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
            thread::sleep(Duration::from_millis(150));
        }
        Ok::<_, Error>(plus_one(value))
    });
    assert_eq!(updated.unwrap(), "1");
    assert_eq!(runs, 2);
    assert_eq!(store.get(&key).unwrap().0, "1");
}

#[test]
fn an_update_runs_again_if_its_connection_is_lost_in_a_slow_function() {
    let database = Database::new();
    an_update_outlives_a_connection_lost_in_its_function(&database.store(), &database);
    let store = made(database.async_store_with(AsyncDieselSession::builder()));
    an_update_outlives_a_connection_lost_in_its_function(&store, &database);
}

/// Another writer comes first twice. The third time the session is locked. `waits` returns when somebody waits for it.
fn the_third_run_of_an_update_has_its_turn(store: &impl Store, other: &impl Store, waits: impl Fn()) {
    let key = store.generate(Some("0"), None).unwrap();
    let mut seen = Vec::new();
    thread::scope(|scope| {
        let mut late = None;
        let made = store.update(&key, Expiry::Default, |value| {
            seen.push(value.clone().unwrap());
            if seen.len() < 3 {
                other.set(&key, &format!("other {}", seen.len()), None)?;
            } else {
                late = Some(scope.spawn(|| other.set(&key, "late", None)));
                waits();
            }
            Ok::<_, Error>("made".to_owned())
        });
        assert_eq!(made.unwrap(), "made");
        late.unwrap().join().unwrap().unwrap();
    });
    assert_eq!(seen, ["0", "other 1", "other 2"]);
    assert_eq!(store.get(&key).unwrap().0, "late");
}

/// The session ends while the function runs.
fn an_update_of_a_session_that_ends_meanwhile_finds_none(store: &impl Store, other: &impl Store) {
    let key = store.generate(Some("0"), None).unwrap();
    let mut runs = 0;
    let updated = store.update(&key, Expiry::Default, |_| {
        runs += 1;
        other.clear(&key)?;
        Ok::<_, Error>("1".to_owned())
    });
    assert!(matches!(updated, Err(Error::NotFound)), "{updated:?}");
    assert_eq!(runs, 1);
    assert!(matches!(store.get(&key), Err(Error::NotFound)));
}

#[test]
fn an_update_has_its_turn_and_revives_nothing_on_postgres() {
    let database = Database::new();
    let waits = || database.conn().wait_for_a_waiter();
    let (store, other) = (database.store(), database.store());
    the_third_run_of_an_update_has_its_turn(&store, &other, waits);
    an_update_of_a_session_that_ends_meanwhile_finds_none(&store, &other);
    let store = made(database.async_store_with(AsyncDieselSession::builder().pipelined(2)));
    the_third_run_of_an_update_has_its_turn(&store, &other, waits);
    an_update_of_a_session_that_ends_meanwhile_finds_none(&store, &other);
}

#[test]
fn an_update_has_its_turn_and_revives_nothing_on_mariadb() {
    let server = throwaway_mariadb::Server::start(&[]).unwrap();
    let database = MariaDb::on(&server);
    let waits = || database.conn().wait_until(MARIADB_WAITERS, |waiters| waiters > 0);
    let (store, other) = (database.store(), database.store());
    the_third_run_of_an_update_has_its_turn(&store, &other, waits);
    an_update_of_a_session_that_ends_meanwhile_finds_none(&store, &other);
}

/// SQLite does not tell who waits for its lock. So another connection fails at once.
#[test]
fn an_update_has_its_turn_and_revives_nothing_on_sqlite() {
    let file = File::new();
    let (store, other) = (file.store(), file.store());
    let is_locked = || {
        let refused = file.conn().batch_execute("UPDATE session SET session_data = 'impatient'");
        assert!(refused.is_err(), "another connection has written");
    };
    the_third_run_of_an_update_has_its_turn(&store, &other, is_locked);
    an_update_of_a_session_that_ends_meanwhile_finds_none(&store, &other);
}
