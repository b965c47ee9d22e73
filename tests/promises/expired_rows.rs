//! `delete_expired` deletes expired rows. The original never deleted any (fault 15).

use std::thread;

use chrono::TimeDelta;
use diesel_session::{Now, Sessions};

use crate::support::{Database, File, Sql};

/// Inserts `each` rows that expired in each of the `hours` previous hours, and `each` live rows.
fn fill(conn: &mut diesel::PgConnection, hours: u32, each: u32) {
    conn.run(&format!(
        "INSERT INTO session (session_key, expire_date, session_data) \
         SELECT '$' || md5(hour || ' ' || n) || '000000h', date_trunc('hour', now()) - hour * interval '1 hour' + interval '1 minute', hour \
         FROM generate_series(1, {hours}) AS hour, generate_series(1, {each}) AS n; \
         INSERT INTO session (session_key, expire_date, session_data) \
         SELECT '$' || md5('live' || n) || '000000l', now() + interval '1 hour', 'live' \
         FROM generate_series(1, {each}) AS n"
    ));
}

#[test]
fn at_most_the_limit_is_deleted_and_the_longest_expired_first() {
    at_most_the_limit_and_the_longest_expired_first(&Database::new());
}

#[test]
fn at_most_the_limit_is_deleted_across_partitions_and_the_longest_expired_first() {
    at_most_the_limit_and_the_longest_expired_first(&Database::partitioned());
}

fn at_most_the_limit_and_the_longest_expired_first(database: &Database) {
    let store = database.store();
    let mut conn = database.conn();
    fill(&mut conn, 3, 10);
    assert_eq!(store.delete_expired(0).unwrap(), 0);
    assert_eq!(store.delete_expired(12).unwrap(), 12);
    assert_eq!(conn.number("SELECT count(*) FROM session WHERE session_data = '3'"), 0);
    assert_eq!(conn.number("SELECT count(*) FROM session WHERE session_data = '2'"), 8);
    assert_eq!(conn.number("SELECT count(*) FROM session WHERE session_data = '1'"), 10);
    assert_eq!(store.delete_expired(100).unwrap(), 18);
    assert_eq!(store.delete_expired(100).unwrap(), 0);
    assert_eq!(conn.number("SELECT count(*) FROM session"), 10);
}

#[test]
fn at_most_the_limit_is_deleted_on_sqlite_too() {
    let file = File::new();
    let store = file.store();
    let live = store.generate(Some("live"), None).unwrap();
    for hour in [3, 1, 2] {
        for _ in 0..10 {
            store.generate(Some(&hour.to_string()), Some(TimeDelta::hours(-hour))).unwrap();
        }
    }
    assert_eq!(store.delete_expired(0).unwrap(), 0);
    assert_eq!(store.delete_expired(12).unwrap(), 12);
    let mut conn = file.conn();
    assert_eq!(conn.number("SELECT count(*) FROM session WHERE session_data = '3'"), 0);
    assert_eq!(conn.number("SELECT count(*) FROM session WHERE session_data = '2'"), 8);
    assert_eq!(store.delete_expired(100).unwrap(), 18);
    assert_eq!(store.get(&live).unwrap().0, "live");
}

#[test]
fn a_session_whose_expiry_moves_is_swept_by_its_new_expiry_on_sqlite() {
    let file = File::new();
    let store = file.store();
    let key = store.generate(Some("x"), Some(TimeDelta::days(1))).unwrap();
    store.generate(Some("moved"), Some(TimeDelta::hours(-2))).unwrap();
    // The database itself updates the hour of a row, whichever program writes the row.
    file.conn().run("UPDATE session SET expire_date = expire_date + 86400000 WHERE session_data = 'moved'");
    assert_eq!(store.delete_expired(10).unwrap(), 0);
    store.set(&key, "x", Some(TimeDelta::hours(-2))).unwrap();
    assert_eq!(store.delete_expired(10).unwrap(), 1);
    assert_eq!(file.conn().text("SELECT session_data FROM session"), "moved");
}

#[test]
fn a_wrong_expire_hour_never_deletes_a_live_session_on_sqlite() {
    let file = File::new();
    let store = file.store();
    let live = store.generate(Some("live"), Some(TimeDelta::days(1))).unwrap();
    store.generate(Some("dead"), Some(TimeDelta::hours(-2))).unwrap();
    file.conn().run("UPDATE session SET expire_hour = 0");
    assert_eq!(store.delete_expired(1).unwrap(), 1);
    assert_eq!(store.delete_expired(10).unwrap(), 0);
    assert_eq!(store.get(&live).unwrap().0, "live");
}

#[test]
fn concurrent_sweepers_delete_each_expired_row_once_and_no_live_one() {
    each_row_once_and_no_live_one(&Database::new());
}

#[test]
fn concurrent_sweepers_delete_each_expired_row_of_a_partition_once_and_no_live_one() {
    each_row_once_and_no_live_one(&Database::partitioned());
}

fn each_row_once_and_no_live_one(database: &Database) {
    let store = database.store();
    fill(&mut database.conn(), 4, 1_000);
    let sweepers: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            thread::spawn(move || {
                let mut deleted = 0;
                loop {
                    match store.delete_expired(100).unwrap() {
                        0 => return deleted,
                        batch => {
                            assert!(batch <= 100);
                            deleted += batch;
                        }
                    }
                }
            })
        })
        .collect();
    let deleted: usize = sweepers.into_iter().map(|sweeper| sweeper.join().unwrap()).sum();
    // A batch reads as empty if another sweeper has taken it. The next call deletes the rest.
    let rest = store.delete_expired(10_000).unwrap();
    assert_eq!(deleted + rest, 4_000);
    assert_eq!(database.conn().number("SELECT count(*) FROM session WHERE session_data = 'live'"), 1_000);
}

#[test]
fn expired_rows_can_be_deleted_in_the_callers_transaction() {
    let database = Database::new();
    let store = database.store();
    fill(&mut database.conn(), 1, 10);
    let mut conn = store.pool().get().unwrap();
    let undone = diesel::Connection::transaction(&mut *conn, |conn| {
        assert_eq!(store.on(conn).delete_expired(100)?, 10);
        Err::<(), _>(diesel_session::Error::NotSet)
    });
    assert!(matches!(undone, Err(diesel_session::Error::NotSet)));
    assert_eq!(store.delete_expired(100).unwrap(), 10);
}
