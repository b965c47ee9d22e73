//! Characters that mean something to SQL, to a driver or to a shell mean nothing in a session.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use diesel_session::{
    AsyncBuilder, AsyncDieselSession, Blocking, Error, Expiry, KeyStorage, Now as _, SessionHandle,
    SessionKey, Sessions,
};

use crate::properties::corpus;
use crate::support::{Database, File, MariaDb, Mysql, Postgres, Sql, Sqlite, in_transaction};
use crate::waiting::{made, waiting};

/// Keys of characters and words that are special somewhere.
const KEYS: [&str; 3] = [
    "////////////////////////////////////////",
    "++++++++++++++++++++++++++++++++++++++++",
    "+or+1/1/+or/++//DROP+TABLE+session",
];

/// Runs every operation with each text as value and as owner, in no special order. Every text comes back as it was.
fn everything_comes_back(store: &impl Sessions) {
    let texts: Vec<String> = corpus("values").into_iter().filter(|text| !text.contains('\0')).collect();
    let bystander = store.generate_for("bystander", Some("untouched"), None).unwrap();
    let mut keys = BTreeMap::new();
    for text in &texts {
        let key = store.generate_for(text, Some(text), Some(TimeDelta::hours(1))).unwrap();
        keys.insert(text.clone(), key);
    }
    for (text, key) in &mut keys {
        assert_eq!(store.get(key).unwrap().0, *text);
        assert_eq!(store.find(key).unwrap().owner.as_deref(), Some(text.as_str()));
        assert_eq!(store.sessions_of(text, 100).unwrap().len(), 1, "{text}");
        assert_eq!(store.sessions_of(text, 100).unwrap()[0].handle, store.handle(key));
        store.set(key, &format!("{text}{text}"), None).unwrap();
        let wrong = store.replace(key, Some(&format!("not {text}")), "", Expiry::Default);
        assert!(matches!(wrong, Err(Error::Changed)), "{text}");
        store.replace(key, Some(&format!("{text}{text}")), text, Expiry::Default).unwrap();
        let made = store.update(key, Expiry::Default, |value| Ok::<_, Error>(value.unwrap() + text)).unwrap();
        assert_eq!(made, format!("{text}{text}"));
        *key = store.rotate(key).unwrap();
        store.bind(key, text).unwrap();
        store.touch(key, Expiry::After(TimeDelta::days(30))).unwrap();
        assert_eq!(store.get(key).unwrap().0, format!("{text}{text}"));
    }
    // A valid handle that names no session of this owner, and texts that are not handles.
    let foreign = store.handle(&bystander);
    for text in &texts {
        assert!(matches!(text.parse::<SessionHandle>(), Err(Error::NotFound)), "{text}");
        assert!(!store.clear_listed(text, &foreign).unwrap(), "{text}");
    }
    for key in KEYS {
        let key: SessionKey = format!("{key:+<40}").parse().unwrap();
        assert!(matches!(store.get(&key), Err(Error::NotFound)));
        assert!(matches!(store.set(&key, "planted", None), Err(Error::NotFound)));
        store.clear(&key).unwrap();
    }
    let count = store.count().unwrap();
    assert_eq!(count.live, texts.len() as u64 + 1);
    for (text, key) in &keys {
        assert!(store.clear_listed(text, &store.handle(key)).unwrap());
        store.generate_for(text, None, None).unwrap();
        assert_eq!(store.clear_owner(text, None).unwrap(), 1, "{text}");
    }
    assert_eq!(store.count().unwrap().live, 1);
    assert_eq!(store.get(&bystander).unwrap().0, "untouched");
    assert_eq!(store.find(&bystander).unwrap().owner.as_deref(), Some("bystander"));
}

/// Runs `work` beside a table of the host's. That table, all other tables and their definitions stay as they were.
fn beside_a_neighbour<C: Sql>(conn: &mut C, schema: &str, work: impl FnOnce()) {
    conn.run("CREATE TABLE neighbour (name text); INSERT INTO neighbour VALUES ('it''s'), ('x')");
    let before = conn.text(schema);
    work();
    assert_eq!(conn.text(schema), before);
    assert_eq!(conn.number("SELECT count(*) FROM neighbour WHERE name IN ('it''s', 'x')"), 2);
}

const POSTGRES_SCHEMA: &str = "SELECT string_agg(attrelid::regclass || '.' || attname || ':' || atttypid::regtype, \
    ' ' ORDER BY attrelid, attnum) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid \
    WHERE relnamespace = 'public'::regnamespace";

fn on_postgres(storage: KeyStorage, work: impl FnOnce(&Database)) {
    let database = Database::new();
    database.store_with(Postgres::builder().key_storage(storage));
    beside_a_neighbour(&mut database.conn(), POSTGRES_SCHEMA, || work(&database));
}

#[test]
fn every_text_comes_back_as_it_was_on_postgres() {
    for storage in [KeyStorage::Hashed, KeyStorage::Plain] {
        on_postgres(storage, |database| {
            everything_comes_back(&database.store_with(Postgres::builder().key_storage(storage)));
        });
    }
}

#[test]
fn every_text_comes_back_as_it_was_on_a_callers_connection() {
    on_postgres(KeyStorage::Hashed, |database| {
        in_transaction(&database.store(), |on_connection| everything_comes_back(on_connection));
    });
}

#[test]
fn every_text_comes_back_as_it_was_on_the_asynchronous_store() {
    for pipelines in [None, Some(2)] {
        on_postgres(KeyStorage::Hashed, |database| {
            let mut settings: AsyncBuilder = AsyncDieselSession::builder();
            if let Some(pipelines) = pipelines {
                settings = settings.pipelined(pipelines);
            }
            everything_comes_back(&made(database.async_store_with(settings)));
        });
    }
}

#[test]
fn every_text_comes_back_as_it_was_on_sqlite() {
    for storage in [KeyStorage::Hashed, KeyStorage::Plain] {
        let file = File::new();
        let store = file.store_with(Sqlite::builder().key_storage(storage));
        let schema = "SELECT group_concat(sql, ' ') FROM sqlite_master";
        beside_a_neighbour(&mut file.conn(), schema, || {
            everything_comes_back(&store);
            everything_comes_back_anew(&store);
        });
    }
}

#[test]
fn every_text_comes_back_as_it_was_on_mariadb() {
    let schema = "SELECT GROUP_CONCAT(table_name, '.', column_name, ':', column_type \
        ORDER BY table_name, ordinal_position) FROM information_schema.columns WHERE table_schema = DATABASE()";
    for storage in [KeyStorage::Hashed, KeyStorage::Plain] {
        let database = MariaDb::new();
        let store = database.store_with(Mysql::builder().key_storage(storage));
        beside_a_neighbour(&mut database.conn(), schema, || everything_comes_back(&store));
    }
}

/// The same store, on blocking threads.
fn everything_comes_back_anew(store: &Sqlite) {
    store.clear_owner("bystander", None).unwrap();
    everything_comes_back(&waiting(Blocking::from(store.clone())));
}

/// Tests both drivers. A name that PostgreSQL does not allow is refused: see `schema`.
#[test]
fn a_schema_of_any_name_holds_its_table_and_no_other() {
    let database = Database::new();
    let mut conn = database.conn();
    beside_a_neighbour(&mut database.conn(), POSTGRES_SCHEMA, || {
        let names: BTreeSet<String> = corpus("values").into_iter().chain(corpus("conninfo")).collect();
        let mut schemas = 0;
        for name in names.into_iter().filter(|name| !name.starts_with("pg_")).step_by(2) {
            let blocking = Postgres::builder().pool_size(1).schema(&name).connect(&database.url);
            let Ok(blocking) = blocking else {
                assert!(name.is_empty() || name.len() > 63 || name == "$user", "{name}");
                continue;
            };
            // These schemas exist already.
            if ["public", "information_schema"].contains(&name.as_str()) {
                continue;
            }
            blocking.migrate().unwrap();
            let key = blocking.generate(Some(&name), None).unwrap();
            let settings = AsyncDieselSession::builder().pool_size(1).schema(&name);
            let asynchronous = made(async { settings.connect(&database.url).await.unwrap() });
            assert_eq!(asynchronous.get(&key).unwrap().0, name);
            let quoted = name.replace('"', "\"\"");
            assert_eq!(conn.text(&format!("SELECT session_data FROM \"{quoted}\".session")), name);
            schemas += 1;
        }
        assert!(schemas > 30, "{schemas}");
        assert_eq!(conn.number("SELECT count(*) FROM pg_tables WHERE tablename = 'session'"), schemas);
    });
}
