//! The sessions of all owners, for an administrator: while others log in and rotate, and many of them. (The conformance
//! laws test each operation by itself.)

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use diesel::PgConnection;
use diesel::connection::{AnsiTransactionManager, TransactionManager as _};
use diesel_session::{
    AsyncDieselSession, DieselSession, Error, KeyStorage, MemorySession, Now as _, SessionKey, Sessions,
    TimeDelta,
};

use crate::support::{Database, File, MariaDb, Postgres, Sql, Store, at_once};
use crate::waiting::made;

fn clear_all_also_ends_a_session_that_is_rotated_at_the_same_time(store: &impl Store) {
    for _ in 0..50 {
        let mut keys: Vec<SessionKey> = (0..3).map(|_| store.generate(None, None).unwrap()).collect();
        let ended = thread::scope(|scope| {
            for key in &mut keys {
                scope.spawn(|| {
                    while let Ok(new) = store.rotate(key) {
                        *key = new;
                    }
                });
            }
            store.clear_all().unwrap()
        });
        assert_eq!(ended, 3);
        assert!(keys.iter().all(|key| matches!(store.get(key), Err(Error::NotFound))));
        assert_eq!(store.count().unwrap().live, 0);
    }
}

#[test]
fn clear_all_also_ends_a_session_that_is_rotated_at_the_same_time_on_postgres() {
    clear_all_also_ends_a_session_that_is_rotated_at_the_same_time(&Database::new().store());
}

#[test]
fn clear_all_also_ends_a_session_that_is_rotated_at_the_same_time_on_mariadb() {
    clear_all_also_ends_a_session_that_is_rotated_at_the_same_time(&MariaDb::new().store());
}

#[test]
fn clear_all_also_ends_a_session_that_is_rotated_at_the_same_time_on_sqlite_and_in_memory() {
    clear_all_also_ends_a_session_that_is_rotated_at_the_same_time(&File::new().store());
    clear_all_also_ends_a_session_that_is_rotated_at_the_same_time(&MemorySession::new());
}

/// The rotation has begun before the call, and commits during it.
#[test]
fn clear_all_waits_for_a_rotation_and_ends_the_session_under_its_new_key() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().statement_timeout(TimeDelta::minutes(1)));
    // Some new keys come before the old one, and others after it.
    for _ in 0..8 {
        let old = store.generate(None, None).unwrap();
        let (mut rotating, mut watcher) = (database.conn(), database.conn());
        AnsiTransactionManager::begin_transaction(&mut rotating).unwrap();
        let new = store.on(&mut rotating).rotate(&old).unwrap();
        thread::scope(|scope| {
            let all = scope.spawn(|| store.clear_all().unwrap());
            watcher.wait_for_a_waiter();
            AnsiTransactionManager::commit_transaction(&mut rotating).unwrap();
            assert_eq!(all.join().unwrap(), 1);
        });
        assert!(matches!(store.get(&new), Err(Error::NotFound)));
    }
}

/// Inserts sessions of many owners. One in ten of them has expired.
fn insert_many(conn: &mut PgConnection, sessions: u32) {
    conn.run(&format!(
        "INSERT INTO session (session_key, owner, session_data, created_on, expire_date) \
         SELECT '$' || lpad(n::text, 39, '0'), NULLIF(n % 100, 0), 'x', statement_timestamp() - n * interval '1 s', \
           statement_timestamp() + CASE WHEN n % 10 = 0 THEN interval '-1 hour' ELSE interval '1 hour' END \
         FROM generate_series(1, {sessions}) AS n; ANALYZE session"
    ));
}

fn insert_many_on_sqlite(file: &File, sessions: u32) {
    file.conn().run(&format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {sessions}) \
         INSERT INTO session (session_key, owner, expire_date) \
         SELECT '$' || printf('%039d', n), n % 100, CASE WHEN n % 10 = 0 THEN 0 ELSE 9999999999999 END FROM n"
    ));
}

#[test]
fn hundreds_of_thousands_of_sessions_end_under_a_statement_timeout_of_a_second_and_beside_logins() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().statement_timeout(TimeDelta::seconds(1)));
    insert_many(&mut database.conn(), 300_000);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                store.delete_expired(1_000).unwrap();
            }
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                store.generate_for("alice", None, None).unwrap();
            }
        });
        let ended = store.clear_all();
        is_over.store(true, Ordering::Relaxed);
        assert!(ended.unwrap() >= 270_000);
    });
    // Whoever logged in during the call.
    assert!(store.clear_all().unwrap() > 0);
    assert_eq!(database.conn().number("SELECT count(*) FROM session"), 0);
}

/// An administrator clicks twice.
#[test]
fn two_calls_of_clear_all_at_once_end_each_session_once() {
    let database = Database::new();
    let store = database.store();
    insert_many(&mut database.conn(), 50_000);
    let ended: usize = at_once(2, |_| store.clear_all()).into_iter().map(Result::unwrap).sum();
    assert_eq!(ended, 45_000);
    assert_eq!(database.conn().number("SELECT count(*) FROM session"), 0);
}

#[test]
fn all_sessions_end_in_batches_on_sqlite() {
    let file = File::new();
    let store = file.store();
    insert_many_on_sqlite(&file, 5_000);
    assert_eq!(store.clear_all().unwrap(), 4_500);
    assert_eq!(file.conn().number("SELECT count(*) FROM session"), 0);
}

/// Sessions that are dated ahead of the clock, because the server's clock was set back.
#[test]
fn clear_all_also_ends_sessions_that_begin_in_the_future() {
    let (database, file) = (Database::new(), File::new());
    let keys = (database.store().generate(None, None).unwrap(), file.store().generate(None, None).unwrap());
    database.conn().run("UPDATE session SET created_on = statement_timestamp() + interval '1 day'");
    file.conn().run("UPDATE session SET created_on = created_on + 86400000");
    assert_eq!((database.store().clear_all().unwrap(), file.store().clear_all().unwrap()), (1, 1));
    assert!(matches!(database.store().get(&keys.0), Err(Error::NotFound)));
    assert!(matches!(file.store().get(&keys.1), Err(Error::NotFound)));
}

/// If the rows can be seen but not deleted, the call returns an error and does not go on for ever.
#[test]
fn rows_that_a_trigger_keeps_cause_an_error() {
    let (database, file) = (Database::new(), File::new());
    database.store();
    database.conn().run(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER keep BEFORE DELETE ON session FOR EACH ROW EXECUTE FUNCTION keep()",
    );
    file.store();
    file.conn().run("CREATE TRIGGER keep BEFORE DELETE ON session BEGIN SELECT RAISE(IGNORE); END");
    keeps_its_sessions(&database.store());
    keeps_its_sessions(&file.store());
}

fn keeps_its_sessions(store: &impl Store) {
    for _ in 0..3 {
        store.generate(None, None).unwrap();
    }
    let kept = store.clear_all();
    assert!(matches!(kept, Err(Error::NotDeleted { sessions: 3, .. })), "{kept:?}");
}

/// The third batch contains a row that cannot be deleted.
#[test]
fn a_clear_all_that_fails_half_way_says_how_many_sessions_it_ended() {
    let database = Database::new();
    let store = made(database.async_store_with(AsyncDieselSession::builder()));
    let mut conn = database.conn();
    insert_many(&mut conn, 2_500);
    conn.run(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'kept'; END $$; \
         CREATE TRIGGER fail BEFORE DELETE ON session FOR EACH ROW \
         WHEN (old.session_key = '$' || lpad('2250', 39, '0')) EXECUTE FUNCTION fail()",
    );
    let failed = store.clear_all().unwrap_err();
    assert!(matches!(failed, Error::PartlyCleared { ended: 1_800, .. }), "{failed:?}");
    conn.run("DROP TRIGGER fail ON session");
    assert_eq!(store.clear_all().unwrap(), 450);
}

#[test]
fn a_rollback_of_the_callers_transaction_undoes_clear_all() {
    let database = Database::new();
    let store = database.store();
    let mut conn = database.conn();
    insert_many(&mut conn, 2_500);
    AnsiTransactionManager::begin_transaction(&mut conn).unwrap();
    assert_eq!(store.on(&mut conn).clear_all().unwrap(), 2_250);
    AnsiTransactionManager::rollback_transaction(&mut conn).unwrap();
    assert_eq!(conn.number("SELECT count(*) FROM session"), 2_500);
}

/// The store reads the keys part by part.
#[test]
fn one_of_many_sessions_can_be_ended_by_its_handle_alone() {
    fn by_its_handle(store: &impl Store) {
        let some: Vec<SessionKey> = (0..8).map(|_| store.generate(Some("x"), None).unwrap()).collect();
        for key in &some {
            assert!(store.clear_handle(&store.handle(key)).unwrap());
            assert!(!store.clear_handle(&store.handle(key)).unwrap());
            assert!(matches!(store.get(key), Err(Error::NotFound)));
        }
    }
    let (database, file) = (Database::new(), File::new());
    database.store();
    file.store();
    insert_many(&mut database.conn(), 25_000);
    insert_many_on_sqlite(&file, 25_000);
    by_its_handle(&database.store());
    by_its_handle(&made(database.async_store_with(AsyncDieselSession::builder())));
    by_its_handle(&file.store());
    assert_eq!(database.conn().number("SELECT count(*) FROM session"), 25_000);
}

/// A generator never draws such keys. All pages together still have each session once.
#[test]
fn a_page_does_not_end_among_keys_that_a_cursor_cannot_tell_apart() {
    fn is_complete(store: &impl Sessions) {
        for limit in [1, 3, 7] {
            let (mut handles, mut pages, mut after) = (BTreeSet::new(), 0, None);
            loop {
                let page = store.list(None, after.as_ref(), limit).unwrap();
                for session in &page.sessions {
                    assert!(handles.insert(session.handle.to_string()), "twice");
                }
                pages += 1;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(handles.len(), 20, "pages of {limit}");
            assert!(pages > 1);
        }
    }
    let values = |date: &str| {
        let same = (10..20).map(|n| format!("('{}{n}', {date})", "a".repeat(38)));
        let others = (10..20).map(|n| format!("('{n}{}', {date})", "b".repeat(38)));
        format!(
            "INSERT INTO session (session_key, expire_date) VALUES {}",
            same.chain(others).collect::<Vec<_>>().join(", ")
        )
    };
    let (database, file) = (Database::new(), File::new());
    let store = database.store_with(Postgres::builder().key_storage(KeyStorage::Plain));
    database.conn().run(&values("now() + interval '1 hour'"));
    is_complete(&store);
    let store = file.store_with(DieselSession::builder().key_storage(KeyStorage::Plain));
    file.conn().run(&values("9999999999999"));
    is_complete(&store);
}
