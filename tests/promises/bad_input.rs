//! Settings and tables that cannot work cause an error that says why. (`keys` tests keys. The laws test values and
//! periods.)

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_session::{ConnectOptions, Error, Expiry, Now, OwnerLimit, Sessions};
use throwaway_postgres::Server;

use crate::support::{Database, File, Postgres, Sql, Sqlite};

#[test]
fn invalid_settings_are_refused_by_name() {
    let refused = |result: Result<Sqlite, Error>, expected: &str| match result {
        Err(Error::Configuration { setting, .. }) => assert_eq!(setting, expected),
        other => panic!("{expected}: {other:?}"),
    };
    let builder = Sqlite::builder;
    let file = File::new();
    refused(builder().pool_size(0).connect(&file.path), "pool_size");
    refused(builder().pool_size(2).connect(":memory:"), "pool_size");
    refused(builder().min_idle(0).connect(&file.path), "min_idle");
    refused(builder().pool_size(2).min_idle(3).connect(&file.path), "min_idle");
    refused(builder().connection_timeout(TimeDelta::zero()).connect(&file.path), "connection_timeout");
    refused(builder().connection_timeout(TimeDelta::MAX).connect(&file.path), "connection_timeout");
    refused(builder().statement_timeout(TimeDelta::zero()).connect(&file.path), "statement_timeout");
    refused(builder().statement_timeout(TimeDelta::MAX).connect(&file.path), "statement_timeout");
    let negative = TimeDelta::seconds(-1);
    refused(builder().max_lifetime(TimeDelta::zero()).connect(&file.path), "max_lifetime");
    refused(builder().max_lifetime(negative).connect(&file.path), "max_lifetime");
    refused(builder().touch_interval(negative).connect(&file.path), "touch_interval");
    refused(builder().owner_limit(OwnerLimit::Refuse(0)).connect(&file.path), "owner_limit");
    refused(builder().owner_limit(OwnerLimit::EndOldest(0)).connect(&file.path), "owner_limit");
    let period = builder().default_period(TimeDelta::MAX).connect(&file.path);
    assert!(matches!(period, Err(Error::PeriodOutOfRange { .. })));
    let lifetime = builder().max_lifetime(TimeDelta::MAX).connect(&file.path);
    assert!(matches!(lifetime, Err(Error::PeriodOutOfRange { .. })));
}

/// With a long interval, `touch` hardly ever writes.
#[test]
fn any_long_touch_interval_is_allowed() {
    let database = Database::new();
    let (sqlite, postgres) = (Sqlite::builder(), Postgres::builder());
    let sqlite = sqlite.touch_interval(TimeDelta::MAX).connect(":memory:").unwrap();
    sqlite.migrate().unwrap();
    let postgres = database.store_with(postgres.touch_interval(TimeDelta::MAX));
    for sessions in [&sqlite as &dyn Sessions, &postgres] {
        let key = sessions.generate(Some("x"), None).unwrap();
        assert!(!sessions.touch(&key, Expiry::Keep).unwrap());
        assert!(!sessions.touch(&key, Expiry::Default).unwrap());
    }
}

#[test]
fn a_value_limit_can_be_set() {
    let store = Sqlite::builder().value_limit(3).connect(":memory:").unwrap();
    store.migrate().unwrap();
    let key = store.generate(Some("abc"), None).unwrap();
    let refused = store.set(&key, "abcd", None);
    assert!(matches!(refused, Err(Error::ValueTooLarge { size: 4, limit: 3, .. })));
}

#[test]
fn a_missing_table_says_to_run_the_migrations() {
    let key = "0000000000000000000000000000000000000000".parse().unwrap();
    let missing = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::MissingTable { .. }), "{error:?}");
        assert!(error.to_string().contains("migrat"), "{error}");
    };
    let database = Database::new();
    let store = Postgres::connect(&database.url).unwrap();
    missing(store.get(&key).map(drop));
    missing(store.generate(None, None).map(drop));
    missing(store.delete_expired(1).map(drop));
    let mut conn = store.pool().get().unwrap();
    assert!(
        matches!(store.on(&mut conn).get(&key), Err(Error::Database(_))),
        "a caller's connection is not probed"
    );

    let file = File::new();
    let store = Sqlite::connect(&file.path).unwrap();
    missing(store.set(&key, "x", None));
    missing(store.clear(&key));
    missing(store.delete_expired(1).map(drop));
}

#[test]
fn a_trigger_that_discards_the_new_row_causes_an_error() {
    let database = Database::new();
    let store = database.store();
    database.conn().run(
        "CREATE FUNCTION keep_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER keep_nothing BEFORE INSERT ON session FOR EACH ROW EXECUTE FUNCTION keep_nothing()",
    );
    assert!(matches!(store.generate(None, None), Err(Error::NotInserted { attempts: 3, .. })));
}

#[test]
fn a_file_that_cannot_be_opened_is_a_typed_error() {
    let builder = Sqlite::builder().connection_timeout(TimeDelta::seconds(1));
    let error = builder.connect("/nonexistent/sessions.sqlite").unwrap_err();
    assert!(matches!(error, Error::PoolTimeout { .. }), "{error:?}");
}

#[test]
fn every_parameter_of_the_originals_connect_reaches_the_server() {
    // The test's own server, which accepts every role.
    let server = Server::start(&[]).unwrap();
    let mut admin = PgConnection::establish(&server.url("postgres")).unwrap();
    admin.run("CREATE ROLE \"o'brien \\\" LOGIN");
    admin.run("CREATE DATABASE \"it's \\\"");
    let options = ConnectOptions::new()
        .host(server.directory().to_str().unwrap())
        .port("5432")
        .dbname("it's \\")
        .user("o'brien \\")
        .password("it's \\")
        .options("-c geqo_threshold=13 -c search_path=\"a\\ b\",public")
        .tty("/dev/null")
        .requiressl(false)
        .startonly(true);
    let store = Postgres::builder().connect_with(&options).unwrap();
    let mut conn = store.pool().get().unwrap();
    assert_eq!(conn.text("SELECT session_user::text"), "o'brien \\");
    assert_eq!(conn.text("SELECT current_database()::text"), "it's \\");
    assert_eq!(conn.text("SELECT current_setting('geqo_threshold')"), "13");
    assert_eq!(conn.text("SELECT current_setting('search_path')"), "\"a b\",public");
    assert_eq!(conn.text("SELECT current_setting('statement_timeout')"), "5s");

    // No server listens there.
    let unreachable = Postgres::builder()
        .connection_timeout(TimeDelta::seconds(1))
        .connect_with(&ConnectOptions::new().hostaddr("127.0.0.1").port("1"));
    match unreachable {
        Err(Error::PoolTimeout { source, .. }) => {
            assert!(source.to_string().contains("127.0.0.1"), "{source}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_statement_timeout_that_the_caller_or_the_role_has_set_is_kept() {
    let server = Server::start(&[]).unwrap();
    let options: ConnectOptions = server.url("postgres").parse().unwrap();
    let timeout = |options: ConnectOptions| {
        let store = Postgres::builder().connect_with(&options).unwrap();
        let mut conn = store.pool().get().unwrap();
        conn.text("SELECT current_setting('statement_timeout')")
    };
    assert_eq!(timeout(options.clone()), "5s");
    assert_eq!(timeout(options.clone().options("-c statement_timeout=7s")), "7s");
    PgConnection::establish(&server.url("postgres"))
        .unwrap()
        .run("CREATE ROLE app LOGIN; ALTER ROLE app SET statement_timeout = '9s'");
    assert_eq!(timeout(options.user("app")), "9s");
}
