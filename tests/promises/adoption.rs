//! The table of OCaml's session-postgresql: a host shares it with running services, or adopts it with its live
//! sessions.

use diesel_session::{KeyStorage, MigrationError, Now, SessionKey, Sessions, migrations};

use crate::migrations::{POSTGRES_VERSIONS, fingerprint, migration_error};
use crate::support::{Database, File, Postgres, Sql};

const THEIR_KEY: &str = "AbCdEfGh+/0123456789AbCdEfGh+/0123456789";

/// The table and the index from session-postgresql's page, with one live session.
pub(crate) const ORIGINAL: &str = "CREATE TABLE session (session_key char(40), expire_date timestamp (2) with time zone, session_data text); \
     CREATE INDEX session_key_idx ON session (session_key); \
     INSERT INTO session VALUES ('AbCdEfGh+/0123456789AbCdEfGh+/0123456789', now() + interval '1 day', 'theirs')";

#[test]
fn the_originals_table_with_sessions_is_left_alone_until_a_key_storage_is_chosen() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    let before = fingerprint(&mut conn);
    let error = migration_error(migrations::migrate(&mut conn, KeyStorage::Hashed));
    assert!(matches!(error, MigrationError::PlainKeys));
    assert!(
        error.to_string().contains("KeyStorage::Plain") && error.to_string().contains("adopt"),
        "{error}"
    );
    assert_eq!(fingerprint(&mut conn), before);
}

#[test]
fn the_originals_empty_table_is_migrated_without_a_choice_of_key_storage() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    conn.run("DELETE FROM session");
    let store = database.store();
    store.generate(None, None).unwrap();
}

#[test]
fn the_originals_sessions_live_on_beside_running_ocaml_services() {
    let database = Database::new();
    database.conn().run(ORIGINAL);
    let store = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
    assert_eq!(store.migrate().unwrap(), POSTGRES_VERSIONS);
    let key: SessionKey = THEIR_KEY.parse().unwrap();
    assert_eq!(store.get(&key).unwrap().0, "theirs");
    // The original's statements still work, and each side sees the other's sessions.
    let mut ocaml = database.conn();
    ocaml.run(&format!(
        "UPDATE session SET expire_date = now() + interval '1 hour', session_data = 'ours' WHERE session_key = '{THEIR_KEY}'; \
         INSERT INTO session (session_key, expire_date, session_data) VALUES (repeat('o', 40), now() + interval '1 hour', 'new')"
    ));
    assert_eq!(store.get(&key).unwrap().0, "ours");
    assert_eq!(store.get(&"o".repeat(40).parse().unwrap()).unwrap().0, "new");
    let ours = store.generate(Some("x"), None).unwrap();
    let count = format!("SELECT count(*) FROM session WHERE session_key = '{}'", ours.as_str());
    assert_eq!(ocaml.number(&count), 1);
}

#[test]
fn adopted_sessions_live_on_under_hashed_keys() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    assert_eq!(migrations::adopt(&mut conn).unwrap(), 1);
    assert_eq!(migrations::adopt(&mut conn).unwrap(), 0);
    let store = database.store();
    assert_eq!(store.get(&THEIR_KEY.parse().unwrap()).unwrap().0, "theirs");
    assert!(conn.yes("SELECT bool_and(session_key LIKE '$%') FROM session"));
    let plain = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
    assert!(matches!(migration_error(plain.migrate()), MigrationError::HashedKeys));
}

#[test]
fn a_shared_table_can_be_adopted_later() {
    let database = Database::new();
    let plain = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
    plain.migrate().unwrap();
    let key = plain.generate(Some("x"), None).unwrap();
    assert_eq!(migrations::adopt(&mut database.conn()).unwrap(), 1);
    assert_eq!(database.store().get(&key).unwrap().0, "x");
}

#[test]
fn adoption_deletes_invalid_rows_and_repairs_dates() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    conn.run(
        "ALTER TABLE session ADD COLUMN created_on timestamp DEFAULT now(); \
         UPDATE session SET created_on = NULL; \
         INSERT INTO session VALUES \
           (repeat('d', 40), now() + interval '1 hour', 'older'), \
           (repeat('d', 40), now() + interval '2 hours', 'newer'), \
           (repeat('d', 40), now() - interval '1 hour', 'dead'), \
           (repeat('i', 40), 'infinity', 'immortal'), \
           (repeat('m', 40), '-infinity', 'never'), \
           (repeat('n', 40), NULL, 'undated'), \
           (NULL, now() + interval '1 hour', 'nameless')",
    );
    migrations::adopt(&mut conn).unwrap();
    assert_eq!(
        conn.text("SELECT string_agg(session_data, ',' ORDER BY session_data) FROM session"),
        "immortal,newer,theirs"
    );
    assert!(conn.yes("SELECT bool_and(now() - created_on BETWEEN '-1 minute' AND '1 hour') FROM session"));
    let store = database.store();
    let (value, left) = store.get(&"i".repeat(40).parse().unwrap()).unwrap();
    assert_eq!(value, "immortal");
    assert!(left <= chrono::TimeDelta::weeks(1) && left > chrono::TimeDelta::days(6));
}

#[test]
fn an_adopted_table_is_not_dropped_by_the_down_of_version_one() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    migrations::adopt(&mut conn).unwrap();
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261127000002");
    let before = fingerprint(&mut conn);
    let error = migration_error(migrations::revert(&mut conn));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("adopted"), "{error:?}");
    assert_eq!(fingerprint(&mut conn), before);
    assert_eq!(conn.number("SELECT count(*) FROM session"), 1);
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), POSTGRES_VERSIONS - 1);
    migrations::check(&mut conn, KeyStorage::Hashed).unwrap();
}

#[test]
fn an_adoption_that_leaves_a_key_plain_is_refused() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(ORIGINAL);
    conn.run("CREATE RULE frozen AS ON UPDATE TO session DO INSTEAD NOTHING");
    let before = fingerprint(&mut conn);
    let refused = migration_error(migrations::adopt(&mut conn));
    assert!(matches!(refused, MigrationError::PlainKeys), "{refused:?}");
    assert_eq!(fingerprint(&mut conn), before);
}

/// The tombstones of renewed sessions have their own keys. These do not show how the table keeps the keys of sessions.
#[test]
fn migrations_ignore_the_keys_of_tombstones() {
    let (database, file) = (Database::new(), File::new());
    let (postgres, sqlite) = (database.store(), file.store());
    for _ in 0..101 {
        let [one, other] = [&postgres as &dyn Sessions, &sqlite].map(|store| {
            let key = store.generate(None, None).unwrap();
            store.rotate(&key).unwrap()
        });
        postgres.clear(&one).unwrap();
        sqlite.clear(&other).unwrap();
    }
    assert!(database.conn().yes("SELECT count(*) = 101 FROM session"));
    assert!(file.conn().yes("SELECT count(*) = 101 FROM session"));
    for storage in [KeyStorage::Hashed, KeyStorage::Plain] {
        migrations::check(&mut database.conn(), storage).unwrap();
        migrations::check(&mut file.conn(), storage).unwrap();
    }
}

/// In a table with plain keys, tombstones contain the plain keys of live sessions.
#[test]
fn adoption_deletes_the_tombstones_of_a_table_with_plain_keys() {
    let database = Database::new();
    let store = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
    store.migrate().unwrap();
    let key = store.rotate(&store.generate(Some("x"), None).unwrap()).unwrap();
    let named = format!("SELECT count(*) FROM session WHERE session_data LIKE '%{}'", key.as_str());
    assert_eq!(database.conn().number(&named), 1);
    assert_eq!(migrations::adopt(&mut database.conn()).unwrap(), 1);
    assert_eq!(database.conn().number(&named), 0);
    assert_eq!(database.store().get(&key).unwrap().0, "x");
}
