//! The absolute timeout, `max_lifetime`. (Its laws are among the conformance laws.)

use diesel_session::{Error, Expiry, MemorySession, TimeDelta};

use crate::support::{Database, File, MariaDb, Mysql, Postgres, Sql, Sqlite, Store, at_once};

/// The sessions last a week without a limit. Then a store with a limit of two hours uses them.
fn a_lowered_limit_acts_at_the_next_write(unlimited: &impl Store, limited: &impl Store) {
    let key = unlimited.generate(Some("x"), None).unwrap();
    assert!(limited.get(&key).unwrap().1 > TimeDelta::days(6), "reading changes nothing");
    assert!(!limited.touch(&key, Expiry::Default).unwrap(), "and no touch shortens");
    let rotated = limited.rotate(&key).unwrap();
    let left = limited.get(&rotated).unwrap().1;
    assert!(left > TimeDelta::minutes(119) && left <= TimeDelta::hours(2), "{left}");

    let key = unlimited.generate(Some("x"), None).unwrap();
    limited.set(&key, "y", None).unwrap();
    assert!(limited.get(&key).unwrap().1 <= TimeDelta::hours(2));
    let key = unlimited.generate(Some("x"), None).unwrap();
    limited.update(&key, Expiry::Default, |_| Ok::<_, Error>("y".to_owned())).unwrap();
    assert!(limited.get(&key).unwrap().1 <= TimeDelta::hours(2));
    let key = unlimited.generate(Some("x"), None).unwrap();
    limited.replace(&key, Some("x"), "y", Expiry::Default).unwrap();
    assert!(limited.get(&key).unwrap().1 <= TimeDelta::hours(2));

    let key = unlimited.generate(Some("x"), None).unwrap();
    limited.put(&key, "y", Expiry::Keep).unwrap();
    assert!(limited.get(&key).unwrap().1 <= TimeDelta::hours(2), "to keep an expiry breaks no limit");
    let key = unlimited.generate(Some("x"), None).unwrap();
    limited.update(&key, Expiry::Keep, |_| Ok::<_, Error>("y".to_owned())).unwrap();
    assert!(limited.get(&key).unwrap().1 <= TimeDelta::hours(2));
    let key = unlimited.generate(Some("x"), None).unwrap();
    limited.replace(&key, Some("x"), "y", Expiry::Keep).unwrap();
    assert!(limited.get(&key).unwrap().1 <= TimeDelta::hours(2));
}

#[test]
fn a_lowered_limit_acts_at_the_next_write_on_postgres() {
    let database = Database::new();
    let limited = database.store_with(Postgres::builder().max_lifetime(TimeDelta::hours(2)));
    a_lowered_limit_acts_at_the_next_write(&database.store(), &limited);
}

#[test]
fn a_lowered_limit_acts_at_the_next_write_on_sqlite() {
    let file = File::new();
    let limited = file.store_with(Sqlite::builder().max_lifetime(TimeDelta::hours(2)));
    a_lowered_limit_acts_at_the_next_write(&file.store(), &limited);
}

#[test]
fn a_lowered_limit_acts_at_the_next_write_on_mariadb() {
    let database = MariaDb::new();
    let limited = database.store_with(Mysql::builder().max_lifetime(TimeDelta::hours(2)));
    a_lowered_limit_acts_at_the_next_write(&database.store(), &limited);
    a_touch_interval_can_be_longer(
        &database.store_with(Mysql::builder().touch_interval(TimeDelta::minutes(10))),
    );
}

/// Runs the statement that `Builder::max_lifetime` documents.
fn one_statement_applies_a_lowered_limit(store: &impl Store, conn: &mut impl Sql, statement: &str) {
    let long = store.generate(Some("x"), None).unwrap();
    let short = store.generate(Some("x"), Some(TimeDelta::minutes(30))).unwrap();
    conn.run(statement);
    let left = store.get(&long).unwrap().1;
    // `created_on` may have been rounded up, by less than the precision of the table.
    let limit = TimeDelta::hours(12) + TimeDelta::milliseconds(10);
    assert!(left > TimeDelta::minutes(719) && left < limit, "{left}");
    let left = store.get(&short).unwrap().1;
    assert!(left > TimeDelta::minutes(29) && left <= TimeDelta::minutes(30), "{left}");
}

#[test]
fn one_statement_applies_a_lowered_limit_to_all_sessions_at_once() {
    let database = Database::new();
    one_statement_applies_a_lowered_limit(
        &database.store(),
        &mut database.conn(),
        "UPDATE session SET expire_date = created_on + interval '12 hours' \
         WHERE expire_date > created_on + interval '12 hours'",
    );
    let file = File::new();
    one_statement_applies_a_lowered_limit(
        &file.store(),
        &mut file.conn(),
        "UPDATE session SET expire_date = created_on + 43200000 WHERE expire_date > created_on + 43200000",
    );
}

fn a_touch_interval_can_be_longer(store: &impl Store) {
    let period = TimeDelta::hours(10);
    let key = store.generate(None, Some(period)).unwrap();
    assert!(!store.touch(&key, Expiry::After(period + TimeDelta::minutes(5))).unwrap());
    assert!(store.touch(&key, Expiry::After(period + TimeDelta::minutes(15))).unwrap());
}

#[test]
fn a_touch_interval_can_be_longer_than_a_minute() {
    let (database, file) = (Database::new(), File::new());
    let interval = TimeDelta::minutes(10);
    a_touch_interval_can_be_longer(&database.store_with(Postgres::builder().touch_interval(interval)));
    a_touch_interval_can_be_longer(&file.store_with(Sqlite::builder().touch_interval(interval)));
}

/// Eight concurrent touches of one session cost one write.
fn only_one_of_several_concurrent_touches_writes(store: &impl Store) {
    let key = store.generate(None, Some(TimeDelta::minutes(10))).unwrap();
    let wrote = at_once(8, |_| store.touch(&key, Expiry::Default).unwrap());
    assert_eq!(wrote.into_iter().filter(|wrote| *wrote).count(), 1);
}

#[test]
fn only_one_of_several_concurrent_touches_writes_on_every_store() {
    let (database, file) = (Database::new(), File::new());
    only_one_of_several_concurrent_touches_writes(&database.store());
    only_one_of_several_concurrent_touches_writes(&file.store());
    only_one_of_several_concurrent_touches_writes(&MemorySession::new());
}

/// Checks the dates in the table, not the remaining time.
#[test]
fn no_session_in_the_table_lives_longer_than_max_lifetime() {
    let file = File::new();
    let database = Database::new();
    let sqlite = file.store_with(Sqlite::builder().max_lifetime(TimeDelta::hours(1)));
    let postgres = database.store_with(Postgres::builder().max_lifetime(TimeDelta::hours(1)));
    write_in_every_way(&sqlite);
    write_in_every_way(&postgres);
    assert_eq!(
        file.conn().number("SELECT count(*) FROM session WHERE expire_date > created_on + 3600000"),
        0
    );
    let outlives = "SELECT count(*) FROM session WHERE expire_date > created_on + interval '1 hour'";
    assert_eq!(database.conn().number(outlives), 0);
    // A rotation also leaves a tombstone.
    assert_eq!(database.conn().number("SELECT count(*) FROM session"), 700);
}

fn write_in_every_way(store: &impl Store) {
    for _ in 0..100 {
        let begun = || store.generate(Some("x"), None).unwrap();
        begun();
        store.set(&begun(), "y", Some(TimeDelta::days(1))).unwrap();
        store.touch(&begun(), Expiry::After(TimeDelta::days(1))).unwrap();
        store.update(&begun(), Expiry::Default, |_| Ok::<_, Error>("y".to_owned())).unwrap();
        store.replace(&begun(), Some("x"), "y", Expiry::Default).unwrap();
        store.rotate(&begun()).unwrap();
    }
}
