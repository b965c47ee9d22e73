//! Sessions of one owner while others log in, rotate and log out, on committed databases and parallel
//! connections. (What the operations do by themselves is among the conformance laws.)

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use diesel::prelude::*;
use diesel_session::{Error, OwnerLimit, SessionKey, Sessions};

use crate::support::{Database, File, Postgres, Sql, Sqlite, Store, at_once};

fn sixteen_logins_at_once(store: &impl Store) -> Vec<Result<SessionKey, Error>> {
    at_once(16, |number| {
        if number % 2 == 0 {
            return store.generate_for("alice", None, None);
        }
        let visitor = store.generate(None, None)?;
        store.bind(&visitor, "alice").map(|()| visitor)
    })
}

fn of_sixteen_logins_three_are_let_in(store: &impl Store) {
    for _ in 0..10 {
        let (let_in, refused): (Vec<_>, Vec<_>) =
            sixteen_logins_at_once(store).into_iter().partition(Result::is_ok);
        assert_eq!(let_in.len(), 3);
        assert!(
            refused.iter().all(|login| matches!(login, Err(Error::OwnerLimit { limit: 3 }))),
            "{refused:?}"
        );
        assert_eq!(store.sessions_of("alice").unwrap().len(), 3);
        assert_eq!(store.clear_owner("alice", None).unwrap(), 3);
    }
}

#[test]
fn of_sixteen_logins_at_once_as_many_as_allowed_are_let_in_on_postgres() {
    let database = Database::new();
    let builder = Postgres::builder().pool_size(16).owner_limit(OwnerLimit::Refuse(3));
    of_sixteen_logins_three_are_let_in(&database.store_with(builder));
}

#[test]
fn of_sixteen_logins_at_once_as_many_as_allowed_are_let_in_on_sqlite() {
    let file = File::new();
    let builder = Sqlite::builder().pool_size(16).owner_limit(OwnerLimit::Refuse(3));
    of_sixteen_logins_three_are_let_in(&file.store_with(builder));
}

fn sixteen_logins_leave_three_sessions(store: &impl Store) {
    for _ in 0..10 {
        let keys: Vec<_> = sixteen_logins_at_once(store).into_iter().collect::<Result<_, _>>().unwrap();
        let live = keys.iter().filter(|key| matches!(store.get(key), Err(Error::NotSet))).count();
        assert_eq!(live, 3);
        assert_eq!(store.sessions_of("alice").unwrap().len(), 3);
    }
}

#[test]
fn sixteen_logins_at_once_end_all_but_the_allowed_on_postgres() {
    let database = Database::new();
    let builder = Postgres::builder().pool_size(16).owner_limit(OwnerLimit::EndOldest(3));
    sixteen_logins_leave_three_sessions(&database.store_with(builder));
}

#[test]
fn sixteen_logins_at_once_end_all_but_the_allowed_on_sqlite() {
    let file = File::new();
    let builder = Sqlite::builder().pool_size(16).owner_limit(OwnerLimit::EndOldest(3));
    sixteen_logins_leave_three_sessions(&file.store_with(builder));
}

/// The database's default isolation is stricter; the store's own transactions are not the caller's.
#[test]
fn the_limit_holds_under_a_stricter_default_isolation() {
    let database = Database::new();
    database.conn().run(&format!(
        "ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'",
        database.name()
    ));
    let builder = Postgres::builder().pool_size(16).owner_limit(OwnerLimit::Refuse(3));
    of_sixteen_logins_three_are_let_in(&database.store_with(builder));
}

/// A session that is rotated at the same moment is ended under whatever key it has.
fn no_rotation_escapes(store: &impl Store) {
    for _ in 0..50 {
        let mut keys: Vec<_> = (0..3).map(|_| store.generate_for("alice", None, None).unwrap()).collect();
        let mine = store.generate_for("alice", Some("mine".to_owned()), None).unwrap();
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
        assert_eq!(store.sessions_of("alice").unwrap().len(), 1);
        assert_eq!(store.get(&mine).unwrap().0, "mine");
        store.clear(&mine).unwrap();
    }
}

#[test]
fn no_rotation_escapes_clear_owner_on_postgres() {
    let database = Database::new();
    no_rotation_escapes(&database.store());
}

#[test]
fn no_rotation_escapes_clear_owner_on_sqlite() {
    let file = File::new();
    no_rotation_escapes(&file.store());
}

/// A session that is rotated while others are ended counts as the one that it is.
#[test]
fn no_rotation_escapes_the_limit() {
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
        assert_eq!(store.sessions_of("alice").unwrap().len(), 2);
        store.clear_owner("alice", None).unwrap();
    }
}

/// Whose sessions they are is found by the partial index.
#[test]
fn an_owners_sessions_are_found_by_their_index() {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
        text: String,
    }
    let database = Database::new();
    let store = database.store();
    let mut conn = database.conn();
    conn.run(
        "INSERT INTO session (session_key, expire_date, owner) \
         SELECT '$' || md5(n::text) || '0000000', now() + interval '1 hour', CASE WHEN n % 2 = 0 THEN 'user ' || n END \
         FROM generate_series(1, 20000) AS n; ANALYZE session",
    );
    store.on(&mut conn).generate_for("alice", None, None).unwrap();
    for statement in [
        "SELECT session_key, created_on, expire_date FROM session \
         WHERE owner = $1 AND expire_date > statement_timestamp() ORDER BY created_on, session_key",
        "DELETE FROM session WHERE owner = $1 AND expire_date > statement_timestamp() AND session_key <> $2",
    ] {
        // A plan for any owner, as a prepared statement has after a few runs.
        conn.run(&format!("SET plan_cache_mode = force_generic_plan; PREPARE by_owner AS {statement}"));
        let parameters = if statement.contains("$2") { "('alice', '')" } else { "('alice')" };
        let plan: Vec<Line> =
            diesel::sql_query(format!("EXPLAIN EXECUTE by_owner{parameters}")).load(&mut conn).unwrap();
        let plan: Vec<String> = plan.into_iter().map(|line| line.text).collect();
        assert!(plan.iter().any(|line| line.contains("session_owner_idx")), "{plan:#?}");
        conn.run("DEALLOCATE by_owner");
    }
}

#[test]
fn an_owners_sessions_are_found_by_their_index_on_sqlite() {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }
    let file = File::new();
    file.store();
    let plan: Vec<Line> = diesel::sql_query(
        "EXPLAIN QUERY PLAN SELECT session_key FROM session WHERE owner = ? AND expire_date > 0",
    )
    .bind::<diesel::sql_types::Text, _>("alice")
    .load(&mut file.conn())
    .unwrap();
    assert!(plan.iter().any(|line| line.detail.contains("session_owner_idx")));
}
