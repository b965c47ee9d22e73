//! Sessions of one owner while others log in, rotate and log out. The tests commit, and use parallel connections. (The
//! conformance laws test each operation by itself.)

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use diesel::PgConnection;
use diesel::connection::{AnsiTransactionManager, TransactionManager as _};
use diesel_session::{
    Builder, Error, Expiry, MemorySession, Now, OwnerLimit, SessionConnection, SessionKey, Sessions,
    TimeDelta,
};

use crate::support::{Database, File, MariaDb, Postgres, Sql, Store, at_once};

/// The timeouts are long because sixteen writers wait for each other.
fn sixteen<C: SessionConnection>(limit: OwnerLimit) -> Builder<C> {
    let builder = diesel_session::DieselSession::builder().owner_limit(limit).pool_size(16);
    builder.statement_timeout(TimeDelta::minutes(1)).connection_timeout(TimeDelta::minutes(1))
}

fn sixteen_logins_at_once(store: &impl Store) -> Vec<Result<SessionKey, Error>> {
    at_once(16, |number| {
        if number % 2 == 0 {
            return store.generate_for("alice", None, None);
        }
        let visitor = store.generate(None, None)?;
        store.bind(&visitor, "alice").map(|()| visitor)
    })
}

fn three_of_sixteen_logins_are_admitted(store: &impl Store) {
    for _ in 0..10 {
        let (let_in, refused): (Vec<_>, Vec<_>) =
            sixteen_logins_at_once(store).into_iter().partition(Result::is_ok);
        assert_eq!(let_in.len(), 3);
        assert!(
            refused.iter().all(|login| matches!(login, Err(Error::OwnerLimit { limit: 3 }))),
            "{refused:?}"
        );
        assert_eq!(store.sessions_of("alice", 100).unwrap().len(), 3);
        assert_eq!(store.clear_owner("alice", None).unwrap(), 3);
    }
}

#[test]
fn a_limit_of_three_admits_three_of_sixteen_concurrent_logins_on_postgres() {
    let database = Database::new();
    three_of_sixteen_logins_are_admitted(&database.store_with(sixteen(OwnerLimit::Refuse(3))));
}

#[test]
fn a_limit_of_three_admits_three_of_sixteen_concurrent_logins_on_sqlite() {
    let file = File::new();
    three_of_sixteen_logins_are_admitted(&file.store_with(sixteen(OwnerLimit::Refuse(3))));
}

#[test]
fn the_limit_holds_on_mariadb_while_logins_and_rotations_happen_at_once() {
    let database = MariaDb::new();
    three_of_sixteen_logins_are_admitted(&database.store_with(sixteen(OwnerLimit::Refuse(3))));
    sixteen_logins_leave_three_sessions(&database.store_with(sixteen(OwnerLimit::EndOldest(3))));
    clear_owner_also_ends_a_session_that_is_rotated_at_the_same_time(&MariaDb::new().store());
}

fn sixteen_logins_leave_three_sessions(store: &impl Store) {
    for _ in 0..10 {
        let keys: Vec<_> = sixteen_logins_at_once(store).into_iter().collect::<Result<_, _>>().unwrap();
        let live = keys.iter().filter(|key| matches!(store.get(key), Err(Error::NotSet))).count();
        assert_eq!(live, 3);
        assert_eq!(store.sessions_of("alice", 100).unwrap().len(), 3);
    }
}

#[test]
fn sixteen_concurrent_logins_leave_the_allowed_number_of_sessions_on_postgres() {
    let database = Database::new();
    sixteen_logins_leave_three_sessions(&database.store_with(sixteen(OwnerLimit::EndOldest(3))));
}

#[test]
fn sixteen_concurrent_logins_leave_the_allowed_number_of_sessions_on_sqlite() {
    let file = File::new();
    sixteen_logins_leave_three_sessions(&file.store_with(sixteen(OwnerLimit::EndOldest(3))));
}

#[test]
fn the_limit_holds_in_memory() {
    let with = |limit| MemorySession::with_options(sixteen::<PgConnection>(limit).options().unwrap());
    three_of_sixteen_logins_are_admitted(&with(OwnerLimit::Refuse(3)));
    sixteen_logins_leave_three_sessions(&with(OwnerLimit::EndOldest(3)));
}

/// The database's default isolation is stricter, but the store uses READ COMMITTED in its own transactions.
#[test]
fn the_limit_holds_under_a_stricter_default_isolation() {
    let database = Database::new();
    database.conn().run(&format!(
        "ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'",
        database.name()
    ));
    three_of_sixteen_logins_are_admitted(&database.store_with(sixteen(OwnerLimit::Refuse(3))));
}

/// A session that is rotated at the same time ends, whichever key it has by then.
fn clear_owner_also_ends_a_session_that_is_rotated_at_the_same_time(store: &impl Store) {
    for _ in 0..50 {
        let mut keys: Vec<_> = (0..3).map(|_| store.generate_for("alice", None, None).unwrap()).collect();
        let mine = store.generate_for("alice", Some("mine"), None).unwrap();
        let ended = thread::scope(|scope| {
            for key in &mut keys {
                scope.spawn(|| {
                    while let Ok(new) = store.rotate(key) {
                        *key = new;
                    }
                });
            }
            store.clear_owner("alice", Some(&mine)).unwrap()
        });
        assert_eq!(ended, 3);
        assert!(keys.iter().all(|key| matches!(store.get(key), Err(Error::NotFound))));
        assert_eq!(store.sessions_of("alice", 100).unwrap().len(), 1);
        assert_eq!(store.get(&mine).unwrap().0, "mine");
        store.clear(&mine).unwrap();
    }
}

#[test]
fn clear_owner_also_ends_a_session_that_is_rotated_at_the_same_time_on_postgres() {
    let database = Database::new();
    clear_owner_also_ends_a_session_that_is_rotated_at_the_same_time(&database.store());
}

#[test]
fn clear_owner_also_ends_a_session_that_is_rotated_at_the_same_time_on_sqlite_and_in_memory() {
    let file = File::new();
    clear_owner_also_ends_a_session_that_is_rotated_at_the_same_time(&file.store());
    clear_owner_also_ends_a_session_that_is_rotated_at_the_same_time(&MemorySession::new());
}

/// A session that is rotated while the limit ends others counts as one session.
#[test]
fn the_limit_also_counts_a_session_that_is_rotated_at_the_same_time() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().owner_limit(OwnerLimit::EndOldest(2)));
    for _ in 0..50 {
        let first = store.generate_for("alice", None, None).unwrap();
        let second = store.generate_for("alice", None, None).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for mut key in [first, second] {
                let (store, is_over) = (&store, &is_over);
                scope.spawn(move || {
                    while let (false, Ok(new)) = (is_over.load(Ordering::Relaxed), store.rotate(&key)) {
                        key = new;
                    }
                });
            }
            store.generate_for("alice", None, None).unwrap();
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(store.sessions_of("alice", 100).unwrap().len(), 2);
        store.clear_owner("alice", None).unwrap();
    }
}

/// `end` waits for a session whose rotation then commits. The session ends under its new key.
fn ended_under_its_new_key(builder: Builder<PgConnection>, end: impl Fn(&Postgres) + Sync) {
    let database = Database::new();
    let store = database.store_with(builder.statement_timeout(TimeDelta::minutes(1)));
    let old = store.generate_for("alice", None, None).unwrap();
    let (mut rotating, mut watcher) = (database.conn(), database.conn());
    AnsiTransactionManager::begin_transaction(&mut rotating).unwrap();
    let new = store.on(&mut rotating).rotate(&old).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| end(&store));
        watcher.wait_for_a_waiter();
        AnsiTransactionManager::commit_transaction(&mut rotating).unwrap();
    });
    assert!(matches!(store.get(&new), Err(Error::NotFound)));
}

#[test]
fn clear_owner_waits_for_a_rotation_and_ends_the_session_under_its_new_key() {
    ended_under_its_new_key(Postgres::builder(), |store| {
        assert_eq!(store.clear_owner("alice", None).unwrap(), 1);
    });
}

#[test]
fn a_login_over_the_limit_waits_for_a_rotation_and_ends_the_session_under_its_new_key() {
    ended_under_its_new_key(Postgres::builder().owner_limit(OwnerLimit::EndOldest(1)), |store| {
        store.generate_for("alice", None, None).unwrap();
    });
}

/// The limit waits for a session that then becomes another owner's. It does not end that session.
#[test]
fn a_limit_ends_no_session_that_moves_to_another_owner_at_the_same_time() {
    let database = Database::new();
    let builder =
        Postgres::builder().owner_limit(OwnerLimit::EndOldest(1)).statement_timeout(TimeDelta::minutes(1));
    let store = database.store_with(builder);
    let shared = store.generate_for("alice", Some("x"), None).unwrap();
    let (mut binding, mut watcher) = (database.conn(), database.conn());
    AnsiTransactionManager::begin_transaction(&mut binding).unwrap();
    store.on(&mut binding).bind(&shared, "bob").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| store.generate_for("alice", None, None).unwrap());
        watcher.wait_for_a_waiter();
        AnsiTransactionManager::commit_transaction(&mut binding).unwrap();
    });
    assert_eq!(store.get(&shared).unwrap().0, "x");
    assert_eq!(store.find(&shared).unwrap().owner.as_deref(), Some("bob"));
    assert_eq!(store.sessions_of("alice", 100).unwrap().len(), 1);
}

/// If the rows can be seen but not deleted, the call returns an error and does not wait.
#[test]
fn a_database_that_does_not_delete_rows_causes_an_error() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().owner_limit(OwnerLimit::EndOldest(1)));
    store.generate_for("alice", None, None).unwrap();
    database.conn().run(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER keep BEFORE DELETE ON session FOR EACH ROW EXECUTE FUNCTION keep()",
    );
    for result in
        [store.clear_owner("alice", None).map(drop), store.generate_for("alice", None, None).map(drop)]
    {
        assert!(matches!(result, Err(Error::NotDeleted { sessions: 1, .. })), "{result:?}");
    }
}

/// No combination of concurrent calls causes a database error.
#[test]
fn concurrent_logins_rotations_and_logouts_cause_no_error() {
    let database = Database::new();
    let builder = Postgres::builder().owner_limit(OwnerLimit::EndOldest(3));
    let store = database.store_with(
        builder.statement_timeout(TimeDelta::minutes(1)).connection_timeout(TimeDelta::minutes(1)),
    );
    at_once(6, |number| {
        for _ in 0..100 {
            let key = store.generate_for("alice", Some("x"), None).unwrap();
            let done = match number {
                0 => store.clear_owner("alice", Some(&key)).map(drop),
                1 => store.clear_listed("alice", &store.handle(&key)).map(drop),
                2 => store.bind(&key, "bob"),
                3 => store.update(&key, Expiry::Default, |_| Ok::<_, Error>("y".to_owned())).map(drop),
                _ => store.rotate(&key).map(drop),
            };
            assert!(matches!(done, Ok(()) | Err(Error::NotFound)), "{done:?}");
        }
    });
    assert!(store.sessions_of("alice", 100).unwrap().len() <= 3);
}
