//! Tenants with one schema each. No tenant ever gets another's sessions, and nothing of another tenant's changes.

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, bb8};
use diesel_session::{
    AsyncDieselSession, DieselSession, Error, KeyStorage, MigrationError, Now, SessionTable, Sessions,
    migrations,
};

use throwaway_postgres::Server;

use crate::migrations::{POSTGRES_VERSIONS, SQLITE_VERSIONS, fingerprint, migration_error};
use crate::support::{Database, File, Postgres, Sql, Sqlite, at_once};
use crate::waiting::runtime;

fn is_elsewhere(error: &MigrationError, found: &str, expected: &str) -> bool {
    let text = error.to_string();
    matches!(error, MigrationError::OtherSchema { .. })
        && text.contains(found)
        && text.contains(expected)
        && text.contains("Builder::schema")
}

#[test]
fn a_search_path_does_not_fall_through_to_another_tenants_table() {
    let database = Database::new();
    let sessions = database.store();
    sessions.generate_for("alice", Some("tenant one"), None).unwrap();
    let before = fingerprint(&mut database.conn());
    let mut conn = database.conn();
    conn.run("CREATE SCHEMA tenant2; SET search_path = tenant2, public");
    for result in [
        migrations::migrate(&mut conn, KeyStorage::Hashed).map(drop),
        migrations::check(&mut conn, KeyStorage::Hashed),
        migrations::adopt(&mut conn).map(drop),
        migrations::revert(&mut conn).map(drop),
    ] {
        let error = migration_error(result);
        assert!(is_elsewhere(&error, "schema public", "schema tenant2"), "{error:?}");
    }
    assert_eq!(fingerprint(&mut conn), before);
    // If a schema is named, `migrate` makes the table there, whatever the search path is. The path then leads to it.
    assert_eq!(SessionTable::new().schema("tenant2").migrate(&mut conn).unwrap(), POSTGRES_VERSIONS);
    migrations::check(&mut conn, KeyStorage::Hashed).unwrap();
    assert_eq!(
        conn.text("SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'session'::regclass"),
        "tenant2"
    );
    assert_eq!(sessions.on(&mut conn).sessions_of("alice", 10).unwrap(), []);
    assert_eq!(conn.text("SELECT current_setting('search_path')"), "tenant2, public");
}

#[test]
fn options_refuse_a_connection_that_leads_to_another_tenants_table() {
    let database = Database::new();
    let mut conn = database.conn();
    let rules = |schema: &str| Postgres::builder().schema(schema).options().unwrap();
    for schema in ["tenant1", "tenant2"] {
        assert_eq!(rules(schema).table().migrate(&mut conn).unwrap(), POSTGRES_VERSIONS);
    }
    for (path, is_right) in [
        ("tenant1", false),
        ("tenant1, tenant2", false),
        ("public", false),
        ("tenant2", true),
        ("public, tenant2", true),
        ("tenant2, tenant1", true),
    ] {
        conn.run(&format!("SET search_path = {path}"));
        let checked = rules("tenant2").check(&mut conn);
        if is_right {
            checked.unwrap_or_else(|error| panic!("{path}: {error}"));
            rules("tenant2").on(&mut conn).generate(None, None).unwrap();
        } else {
            let error = migration_error(checked);
            assert!(matches!(error, MigrationError::OtherSchema { .. }), "{path}: {error:?}");
        }
    }
    assert_eq!(conn.number("SELECT count(*) FROM tenant1.session"), 0);
    assert_eq!(conn.number("SELECT count(*) FROM tenant2.session"), 3);
}

/// One connection serves one tenant after the other, with the statements that it has prepared for the first.
#[test]
fn tenants_share_one_connection_and_no_session() {
    let database = Database::new();
    let pool =
        Pool::builder().max_size(1).build(ConnectionManager::<PgConnection>::new(&database.url)).unwrap();
    let mut conn = pool.get().unwrap();
    let tenants =
        ["shop", "Größe \"2\""].map(|name| (name, Postgres::builder().schema(name).options().unwrap()));
    for (_, rules) in &tenants {
        rules.table().migrate(&mut *conn).unwrap();
    }
    let within = |conn: &mut PgConnection,
                  name: &str,
                  work: &mut dyn FnMut(&mut PgConnection) -> Result<(), Error>| {
        conn.transaction(|conn| {
            diesel::sql_query(
                "SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident($1), true)",
            )
            .bind::<diesel::sql_types::Text, _>(name)
            .execute(conn)?;
            work(conn)
        })
    };
    let mut keys = Vec::new();
    for _ in 0..3 {
        for (name, rules) in &tenants {
            within(&mut conn, name, &mut |conn| {
                rules.check(conn)?;
                keys.push((*name, rules.on(conn).generate_for("alice", Some(name), None)?));
                Ok(())
            })
            .unwrap();
        }
    }
    for (name, rules) in &tenants {
        for (theirs, key) in &keys {
            within(&mut conn, name, &mut |conn| {
                match rules.on(conn).get(key) {
                    Ok((value, _left)) => assert!(name == theirs && value == *name),
                    Err(Error::NotFound) => assert!(name != theirs),
                    Err(error) => return Err(error),
                }
                assert_eq!(rules.on(conn).sessions_of("alice", 10)?.len(), 3);
                Ok(())
            })
            .unwrap();
        }
    }
    assert_eq!(conn.text("SELECT current_setting('search_path')"), "\"$user\", public");
}

/// A pool of the application's keeps its search path. If this path leads elsewhere, the store returns an error.
#[test]
fn a_store_over_a_pool_reports_a_search_path_that_leads_elsewhere() {
    let database = Database::new();
    let pool = Pool::new(ConnectionManager::<PgConnection>::new(&database.url)).unwrap();
    let elsewhere = Postgres::builder().schema("shop").over(pool).unwrap();
    assert!(is_elsewhere(&migration_error(elsewhere.migrate()), "no schema", "schema shop"));
    assert!(is_elsewhere(&migration_error(elsewhere.check()), "no schema", "schema shop"));
    let there = format!("{}&options=-csearch_path%3Dshop", database.url);
    let pool = Pool::new(ConnectionManager::<PgConnection>::new(&there)).unwrap();
    let store = Postgres::builder().schema("shop").over(pool).unwrap();
    store.check().unwrap();
    store.generate(None, None).unwrap();
    runtime().block_on(async {
        for (url, is_right) in [(&database.url, false), (&there, true)] {
            let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
            let pool = bb8::Pool::builder().build(manager).await.unwrap();
            let store = AsyncDieselSession::builder().schema("shop").over(pool).unwrap();
            assert_eq!(store.migrate().await.is_ok(), is_right);
            assert_eq!(store.check().await.is_ok(), is_right);
        }
    });
}

#[test]
fn a_revert_leaves_another_schemas_table_alone() {
    let database = Database::new();
    database.store().generate(Some("x"), None).unwrap();
    let before = fingerprint(&mut database.conn());
    let mut conn = database.conn();
    conn.run("CREATE SCHEMA shop; SET search_path = shop");
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    conn.run("DROP TABLE shop.session; SET search_path = shop, public");
    // `shop` has a migration record, and only that record is reverted.
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261127000002");
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261122000001");
    let error = migration_error(migrations::revert(&mut conn));
    assert!(matches!(error, MigrationError::Failed { .. }), "{error:?}");
    assert_eq!(fingerprint(&mut conn), before);
}

#[test]
fn an_adoption_leaves_another_schemas_table_alone() {
    let database = Database::new();
    let plain = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
    plain.migrate().unwrap();
    let key = plain.generate(Some("x"), None).unwrap();
    let mut conn = database.conn();
    conn.run("CREATE SCHEMA shop; SET search_path = shop, public");
    assert_eq!(SessionTable::new().schema("shop").adopt(&mut conn).unwrap(), 0);
    assert_eq!(plain.get(&key).unwrap().0, "x");
}

/// The same on SQLite, which searches an attached database after the main one.
#[test]
fn a_revert_leaves_an_attached_databases_table_alone() {
    let (main, attached) = (File::new(), File::new());
    let key = attached.store().generate(Some("x"), None).unwrap();
    let mut conn = main.conn();
    conn.run(&format!("ATTACH DATABASE '{}' AS other", attached.path));
    migrations::check(&mut conn, KeyStorage::Hashed).unwrap_err();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), SQLITE_VERSIONS);
    conn.run("DROP TABLE main.session");
    let error = migration_error(migrations::check(&mut conn, KeyStorage::Hashed));
    assert!(matches!(error, MigrationError::TableDropped), "{error:?}");
    for _ in 0..SQLITE_VERSIONS {
        migrations::revert(&mut conn).unwrap();
    }
    assert_eq!(attached.store().get(&key).unwrap().0, "x");
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), SQLITE_VERSIONS);
}

#[test]
fn sqlite_has_no_schema_to_name() {
    let file = File::new();
    let refused = SessionTable::new().schema("shop").migrate(&mut file.conn());
    assert!(matches!(refused, Err(Error::Configuration { setting: "schema", .. })), "{refused:?}");
    let mut conn = file.conn();
    conn.run("CREATE TABLE session (id integer)");
    let error = migration_error(migrations::migrate(&mut conn, KeyStorage::Hashed));
    assert!(
        !error.to_string().contains("schema") && error.to_string().contains("a database file"),
        "{error}"
    );
    let file = File::new();
    let store = file.store_with(Sqlite::builder().pool_size(1));
    store.pool().get().unwrap().run("CREATE TEMP TABLE session (id integer)");
    let text = migration_error(store.check()).to_string();
    assert!(!text.contains("schema") && text.contains("drop the temporary table"), "{text}");
}

/// Otherwise its tables would be temporary, and gone with the connection.
#[test]
fn a_schema_that_the_role_may_not_use_is_a_typed_error() {
    // The test's own server, which accepts every role.
    let server = Server::start(&[]).unwrap();
    let database = Database::on(&server.url("postgres"));
    database.conn().run("CREATE SCHEMA shop; CREATE ROLE app LOGIN");
    let mut app = PgConnection::establish(&database.url.replace("postgres@", "app@")).unwrap();
    let table = SessionTable::new().schema("shop");
    for result in [table.migrate(&mut app).map(drop), table.check(&mut app), table.adopt(&mut app).map(drop)]
    {
        let error = migration_error(result);
        assert!(matches!(&error, MigrationError::NoUsage { schema, .. } if schema == "shop"), "{error:?}");
    }
    assert_eq!(database.conn().number("SELECT count(*) FROM pg_class WHERE relname LIKE '%session%'"), 0);
    database.conn().run("GRANT USAGE, CREATE ON SCHEMA shop TO app");
    assert_eq!(table.migrate(&mut app).unwrap(), POSTGRES_VERSIONS);
}

#[test]
fn a_revert_of_a_schema_that_is_missing_makes_none() {
    let database = Database::new();
    let mut conn = database.conn();
    let error = migration_error(SessionTable::new().schema("shop").revert(&mut conn));
    assert!(matches!(error, MigrationError::Failed { .. }), "{error:?}");
    assert!(conn.yes("SELECT to_regnamespace('shop') IS NULL"));
}

#[test]
fn a_search_path_without_a_schema_is_a_typed_error() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run("SET search_path = nowhere");
    let error = migration_error(migrations::migrate(&mut conn, KeyStorage::Hashed));
    assert!(matches!(error, MigrationError::NoSchema), "{error:?}");
    assert_eq!(SessionTable::new().schema("nowhere").migrate(&mut conn).unwrap(), POSTGRES_VERSIONS);
}

#[test]
fn many_processes_can_migrate_one_named_schema_at_once() {
    let database = Database::new();
    let migrated = at_once(8, |_| SessionTable::new().schema("shop").migrate(&mut database.conn()).unwrap());
    assert_eq!(migrated.iter().sum::<usize>(), POSTGRES_VERSIONS);
    let store = DieselSession::<PgConnection>::builder().schema("shop").connect(&database.url).unwrap();
    store.check().unwrap();
}
