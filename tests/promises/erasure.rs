//! `clear_owner` ends all sessions of a person and leaves no row, however many there are and even while others log in.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use diesel::PgConnection;
use diesel::connection::{AnsiTransactionManager, TransactionManager as _};
use diesel_session::{AsyncDieselSession, Error, MemorySession, Now as _, OwnerLimit, Sessions, TimeDelta};

use crate::support::{Database, File, Postgres, Sql, Store, at_once};
use crate::waiting::made;

fn no_row_is_left(store: &impl Store) {
    store.generate_for("alice", Some("secret"), Some(TimeDelta::seconds(-1))).unwrap();
    store.generate_for("alice", Some("secret"), None).unwrap();
    let mine = store.generate_for("alice", None, None).unwrap();
    store.generate_for("bob", None, Some(TimeDelta::seconds(-1))).unwrap();
    assert_eq!(store.clear_owner("alice", Some(&mine)).unwrap(), 1, "those that were live");
    let count = store.count().unwrap();
    assert_eq!((count.live, count.expired), (1, 1), "what was kept, and what is another's");
    assert_eq!(store.clear_owner("alice", None).unwrap(), 1);
    assert_eq!(store.count().unwrap().live, 0);
}

#[test]
fn clear_owner_leaves_no_row_of_the_owner() {
    no_row_is_left(&Database::new().store());
    no_row_is_left(&Database::partitioned().store());
    no_row_is_left(&File::new().store());
    no_row_is_left(&MemorySession::new());
}

/// Inserts `sessions` sessions of `alice`. One in ten of them has expired.
fn insert_many(conn: &mut PgConnection, sessions: u32) {
    conn.run(&format!(
        "INSERT INTO session (session_key, owner, session_data, created_on, expire_date) \
         SELECT '$' || lpad(n::text, 39, '0'), 'alice', 'x', statement_timestamp() - n / 3 * interval '1 s', \
           statement_timestamp() + CASE WHEN n % 10 = 0 THEN interval '-1 hour' ELSE interval '1 hour' END \
         FROM generate_series(1, {sessions}) AS n; ANALYZE session"
    ));
}

#[test]
fn a_million_sessions_of_an_owner_end_under_a_statement_timeout_of_a_second() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().statement_timeout(TimeDelta::seconds(1)));
    insert_many(&mut database.conn(), 1_000_000);
    let bobs = store.generate_for("bob", None, None).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // A sweeper deletes from the same rows.
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                store.delete_expired(1_000).unwrap();
            }
        });
        let _over = Over(&is_over);
        assert_eq!(store.clear_owner("alice", None).unwrap(), 900_000);
    });
    assert_eq!(database.conn().number("SELECT count(*) FROM session"), 1);
    assert!(matches!(store.get(&bobs), Err(Error::NotSet)));
}

/// On the caller's connection, the call is part of the caller's transaction and is undone with it.
fn is_undone_with_the_callers_transaction(store: &Postgres, conn: &mut PgConnection) {
    AnsiTransactionManager::begin_transaction(conn).unwrap();
    assert_eq!(store.on(conn).clear_owner("alice", None).unwrap(), 2_250);
    AnsiTransactionManager::rollback_transaction(conn).unwrap();
    assert_eq!(conn.number("SELECT count(*) FROM session"), 2_500);
}

#[test]
fn a_rollback_of_the_callers_transaction_undoes_clear_owner() {
    let database = Database::new();
    let store = database.store();
    let mut conn = database.conn();
    insert_many(&mut conn, 2_500);
    is_undone_with_the_callers_transaction(&store, &mut conn);
    conn.run("DELETE FROM session");
    says_how_many_it_ended(&store.on(&mut database.conn()), &mut conn);
}

/// The third batch contains a row that cannot be deleted.
const FAILS_IN_THE_THIRD_BATCH: &str = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'kept'; END $$; \
     CREATE TRIGGER fail BEFORE DELETE ON session FOR EACH ROW \
     WHEN (old.session_key = '$' || lpad('250', 39, '0')) EXECUTE FUNCTION fail()";

fn says_how_many_it_ended(store: &impl Sessions, conn: &mut PgConnection) {
    insert_many(conn, 2_500);
    conn.run(FAILS_IN_THE_THIRD_BATCH);
    let failed = store.clear_owner("alice", None).unwrap_err();
    let left = conn.number("SELECT count(*) FROM session WHERE expire_date > statement_timestamp()");
    let Error::PartlyCleared { ended, source, .. } = &failed else { panic!("{failed:?}") };
    assert_eq!(i64::try_from(*ended).unwrap(), 2_250 - left);
    assert_eq!(*ended, 1_800);
    assert!(failed.to_string().contains(&ended.to_string()), "{failed}");
    assert!(matches!(**source, Error::Database(_)), "{source:?}");
    conn.run("DROP TRIGGER fail ON session; DROP FUNCTION fail");
    assert_eq!(i64::try_from(store.clear_owner("alice", None).unwrap()).unwrap(), left);
}

#[test]
fn a_clear_owner_that_fails_half_way_says_how_many_sessions_it_ended() {
    let database = Database::new();
    let mut conn = database.conn();
    says_how_many_it_ended(&database.store(), &mut conn);
    let store = made(database.async_store_with(AsyncDieselSession::builder()));
    says_how_many_it_ended(&store, &mut conn);
}

#[test]
fn sessions_of_an_owner_end_in_batches_on_sqlite() {
    let file = File::new();
    let store = file.store();
    file.conn().run(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) \
         INSERT INTO session (session_key, owner, expire_date) \
         SELECT '$' || printf('%039d', n), 'alice', CASE WHEN n % 2 = 0 THEN 0 ELSE 9999999999999 END FROM n",
    );
    let mine = store.generate_for("alice", None, None).unwrap();
    assert_eq!(store.clear_owner("alice", Some(&mine)).unwrap(), 2_500);
    assert_eq!(file.conn().number("SELECT count(*) FROM session"), 1);
}

/// The store reads the list page by page, so that no statement is as long as the list.
#[test]
fn one_of_thousands_of_sessions_can_be_ended_by_its_handle() {
    fn by_its_handle(store: &impl Store, insert: impl FnOnce()) {
        let oldest = store.generate_for("alice", Some("x"), None).unwrap();
        insert();
        assert!(store.clear_listed("alice", &store.handle(&oldest)).unwrap());
        assert!(matches!(store.get(&oldest), Err(Error::NotFound)));
        assert!(!store.clear_listed("alice", &store.handle(&oldest)).unwrap());
    }
    let database = Database::new();
    by_its_handle(&database.store(), || insert_many(&mut database.conn(), 3_500));
    let file = File::new();
    by_its_handle(&file.store(), || {
        file.conn().run(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000) \
             INSERT INTO session (session_key, owner, created_on, expire_date) \
             SELECT '$' || printf('%039d', n), 'alice', 9999999990000 + n % 7, 9999999999999 FROM n",
        );
    });
}

/// Sets the flag when it is dropped, so that no thread goes on after a failed assertion.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Others log in all the time. The call must end all sessions that existed when it began, and then return.
fn logins_do_not_keep_it_running(store: &impl Store, others: usize, date_one_ahead: impl FnOnce()) {
    store.generate_for("alice", None, None).unwrap();
    date_one_ahead();
    let old: Vec<_> = (0..50).map(|_| store.generate_for("alice", None, None).unwrap()).collect();
    let (is_over, logins) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let _over = Over(&is_over);
        for _ in 0..others {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    store.generate_for("alice", None, None).unwrap();
                    logins.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..5 {
            let before = logins.load(Ordering::Relaxed);
            while logins.load(Ordering::Relaxed) < before + 20 {
                thread::yield_now();
            }
            assert!(store.clear_owner("alice", None).unwrap() > 0);
        }
    });
    assert!(old.iter().all(|key| matches!(store.get(key), Err(Error::NotFound))));
}

#[test]
fn concurrent_logins_do_not_keep_clear_owner_running() {
    let database = Database::new();
    let builder = Postgres::builder()
        .statement_timeout(TimeDelta::minutes(1))
        .connection_timeout(TimeDelta::minutes(1));
    // One session is dated ahead of the clock. New sessions still do not count as old ones.
    logins_do_not_keep_it_running(&database.store_with(builder), 4, || {
        database.conn().run("UPDATE session SET created_on = created_on + interval '1 day'");
    });
    // SQLite allows one write at a time, and does not serve the writers in the order in which they came.
    let file = File::new();
    logins_do_not_keep_it_running(&file.store(), 1, || {
        file.conn().run("UPDATE session SET created_on = created_on + 86400000");
    });
}

/// A session is dated ahead of the clock if the clock was set back, or by the host's own INSERT. It ends like any
/// other.
#[test]
fn a_session_that_is_dated_in_the_future_ends_as_well() {
    let database = Database::new();
    let store = database.store();
    let key = store.generate_for("alice", Some("x"), None).unwrap();
    database.conn().run("UPDATE session SET created_on = created_on + interval '1 day'");
    assert_eq!(store.clear_owner("alice", None).unwrap(), 1);
    assert!(matches!(store.get(&key), Err(Error::NotFound)));

    let file = File::new();
    let store = file.store();
    store.generate_for("alice", Some("x"), None).unwrap();
    file.conn().run("UPDATE session SET created_on = created_on + 86400000");
    assert_eq!(store.clear_owner("alice", None).unwrap(), 1);
}

/// Every call locks rows in the same order, and the owner before any row, so no two calls deadlock.
#[test]
fn clear_owner_logins_and_sweeps_of_the_same_rows_never_deadlock() {
    let database = Database::new();
    // PostgreSQL then detects a deadlock at once.
    database.conn().run(&format!("ALTER DATABASE {} SET deadlock_timeout = '10ms'", database.name()));
    let builder = Postgres::builder().owner_limit(OwnerLimit::EndOldest(20)).pool_size(8);
    let store = database.store_with(
        builder.statement_timeout(TimeDelta::minutes(1)).connection_timeout(TimeDelta::minutes(1)),
    );
    let hours_ago = Some(TimeDelta::hours(-2));
    at_once(8, |number| {
        for _ in 0..60 {
            let done = match number {
                0 | 1 => store.clear_owner("alice", None).map(drop),
                2 | 3 => store.delete_expired(50).map(drop),
                4 => store.generate_for("alice", None, None).map(drop),
                5 => store.generate(None, None).and_then(|key| store.bind(&key, "alice")),
                _ => (0..5).try_for_each(|_| store.generate_for("alice", None, hours_ago).map(drop)),
            };
            assert!(matches!(done, Ok(()) | Err(Error::NotFound)), "{done:?}");
        }
    });
}
