//! The session table in a schema that the host chooses.

use diesel::prelude::*;
use diesel_session::{Builder, Error, Now, Sessions};
use throwaway_postgres::Server;

use crate::migrations::POSTGRES_VERSIONS;
use crate::support::{Database, Postgres, Sql};

fn in_schema(name: &str) -> Builder<PgConnection> {
    Postgres::builder().schema(name)
}

#[test]
fn two_stores_in_two_schemas_of_one_database_do_not_see_each_other() {
    let database = Database::new();
    let shop = database.store_with(in_schema("shop"));
    let forum = database.store_with(in_schema("forum"));
    let key = shop.generate_for("alice", Some("x"), None).unwrap();
    assert!(matches!(forum.get(&key), Err(Error::NotFound)));
    assert_eq!(forum.clear_owner("alice", None).unwrap(), 0);
    forum.clear(&key).unwrap();
    assert_eq!(forum.count().unwrap().live, 0);
    assert_eq!(shop.get(&key).unwrap().0, "x");
    assert_eq!(database.conn().number("SELECT count(*) FROM shop.session"), 1);
    assert_eq!(database.conn().number("SELECT count(*) FROM pg_class WHERE relname = 'session'"), 2);
}

#[test]
fn a_missing_schema_is_created_and_an_existing_one_is_used() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run("CREATE SCHEMA theirs");
    for name in ["ours", "theirs"] {
        let store = in_schema(name).connect(&database.url).unwrap();
        assert!(store.check().is_err(), "nothing there yet");
        assert_eq!(store.migrate().unwrap(), POSTGRES_VERSIONS);
        assert_eq!(store.migrate().unwrap(), 0);
        store.check().unwrap();
        let tables = format!("SELECT count(*) FROM pg_tables WHERE schemaname = '{name}'");
        assert_eq!(conn.number(&tables), 2, "sessions, and the record");
    }
    assert_eq!(conn.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 0);
}

#[test]
fn many_stores_can_make_one_schema_at_once() {
    let database = Database::new();
    let migrated = crate::support::at_once(8, |_| {
        in_schema("shop").pool_size(1).connect(&database.url).unwrap().migrate().unwrap()
    });
    assert_eq!(migrated.iter().sum::<usize>(), POSTGRES_VERSIONS);
}

#[test]
fn a_schema_can_have_any_name_that_postgresql_takes() {
    let longest = "n".repeat(63);
    for name in ["Sessions of \"shop\"", "it's; DROP TABLE session --", "$users", "Größe", longest.as_str()]
    {
        let database = Database::new();
        let store = database.store_with(in_schema(name));
        let key = store.generate(Some("x"), None).unwrap();
        assert_eq!(store.get(&key).unwrap().0, "x");
        let schema = database.conn().text(
            "SELECT nspname::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = 'session'",
        );
        assert_eq!(schema, name);
    }
}

#[test]
fn a_schema_that_cannot_work_is_refused() {
    let too_long = "n".repeat(64);
    let database = Database::new();
    for name in ["", "a\0b", "$user", too_long.as_str()] {
        match in_schema(name).connect(&database.url) {
            Err(Error::Configuration { setting: "schema", .. }) => {}
            other => panic!("{name:?}: {other:?}"),
        }
    }
    let through = in_schema("shop").pgbouncer(true).connect(&database.url);
    assert!(matches!(through, Err(Error::Configuration { setting: "schema", .. })), "{through:?}");
}

/// A role that may not create schemas can still use an existing one. It gets an error if the schema is missing.
#[test]
fn a_role_without_the_right_to_create_schemas_can_use_one() {
    // The test's own server, which accepts every role.
    let server = Server::start(&[]).unwrap();
    let database = Database::on(&server.url("postgres"));
    database.conn().run("CREATE ROLE app LOGIN; CREATE SCHEMA shop AUTHORIZATION app");
    let options = || database.url.parse::<diesel_session::ConnectOptions>().unwrap().user("app");
    let store = in_schema("shop").connect_with(&options()).unwrap();
    assert_eq!(store.migrate().unwrap(), POSTGRES_VERSIONS);
    store.generate(None, None).unwrap();
    let elsewhere = in_schema("forum").connect_with(&options()).unwrap();
    assert!(matches!(elsewhere.migrate(), Err(Error::Migration(_))));
}

/// On the host's own connections, the session table is found in the same way as the host's own tables.
#[test]
fn a_callers_connection_finds_the_table_by_its_own_search_path() {
    let database = Database::new();
    let shop = database.store_with(in_schema("shop"));
    let key = shop.generate(Some("x"), None).unwrap();
    let mut conn = database.conn();
    conn.run("SET search_path = shop, public");
    assert_eq!(shop.on(&mut conn).get(&key).unwrap().0, "x");
    conn.run("SET search_path = public");
    assert!(matches!(shop.on(&mut conn).get(&key), Err(Error::Database(_))));
}
