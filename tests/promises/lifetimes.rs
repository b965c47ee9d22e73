//! The absolute timeout: `max_lifetime` (its laws are among the conformance laws).

use diesel_session::{Error, Now, TimeDelta};

use crate::support::{Database, File, Postgres, Sql, Sqlite, Store};

/// Sessions of a week under no limit, then read by a store with one of two hours.
fn a_lowered_limit_acts_at_the_next_write(unlimited: &impl Store, limited: &impl Store) {
    let key = unlimited.generate(Some("x".to_owned()), None).unwrap();
    assert!(limited.get(&key).unwrap().1 > TimeDelta::days(6), "reading changes nothing");
    assert!(!limited.touch(&key, None).unwrap(), "and no touch shortens");
    let rotated = limited.rotate(&key).unwrap();
    let left = limited.get(&rotated).unwrap().1;
    assert!(left > TimeDelta::minutes(119) && left <= TimeDelta::hours(2), "{left}");

    let key = unlimited.generate(Some("x".to_owned()), None).unwrap();
    limited.set(&key, "y".to_owned(), None).unwrap();
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

/// As `Builder::max_lifetime` documents it.
#[test]
fn one_statement_applies_a_lowered_limit_to_all_sessions_at_once() {
    let database = Database::new();
    let store = database.store();
    let long = store.generate(Some("x".to_owned()), None).unwrap();
    let short = store.generate(Some("x".to_owned()), Some(TimeDelta::minutes(30))).unwrap();
    database.conn().run(
        "UPDATE session SET expire_date = created_on + interval '12 hours' \
         WHERE expire_date > created_on + interval '12 hours'",
    );
    let left = store.get(&long).unwrap().1;
    assert!(left > TimeDelta::minutes(719) && left <= TimeDelta::hours(12), "{left}");
    let left = store.get(&short).unwrap().1;
    assert!(left > TimeDelta::minutes(29) && left <= TimeDelta::minutes(30), "{left}");
}

/// Another session of the same moment gets no more, however it is used.
#[test]
fn no_write_outlives_the_limit_by_the_databases_own_account() {
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
    assert_eq!(database.conn().number("SELECT count(*) FROM session"), 600);
}

fn write_in_every_way(store: &impl Store) {
    for _ in 0..100 {
        let begun = || store.generate(Some("x".to_owned()), None).unwrap();
        begun();
        store.set(&begun(), "y".to_owned(), Some(TimeDelta::days(1))).unwrap();
        store.touch(&begun(), Some(TimeDelta::days(1))).unwrap();
        store.update(&begun(), None, |_| Ok::<_, Error>("y".to_owned())).unwrap();
        store.replace(&begun(), Some("x".to_owned()), "y".to_owned(), None).unwrap();
        store.rotate(&begun()).unwrap();
    }
}
