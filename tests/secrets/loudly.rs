//! Runs everything once, with every log at its most verbose level.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use diesel::connection::{InstrumentationEvent, set_default_instrumentation};
use diesel::prelude::*;
use diesel_session::{
    AsyncBuilder, Blocking, ConnectOptions, KeyStorage, MemorySession, SessionKey, TimeDelta, migrations,
};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::operations::{KeyForm, every_operation, hashed_keys};
use crate::support::{File, Guarded, MariaDb, Mysql, Postgres, Sql as _, Sqlite};
use crate::waiting::{made, waiting};
use crate::{INSTRUMENTATION, OWNER, PASSWORD, VALUE, WRONG_PASSWORD, failures, on_connections, webs};

/// The keys that were drawn, in the form in which their holder has them.
static KEYS: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub(crate) fn remember(key: &SessionKey) -> SessionKey {
    remember_text(key.as_str());
    *key
}

pub(crate) fn remember_text(key: &str) {
    KEYS.lock().unwrap().push(key.to_owned());
}

/// Makes a server log all that it can.
const LOUDEST: [&str; 12] = [
    "log_statement=all",
    "log_min_messages=debug5",
    "log_min_error_statement=debug5",
    "log_error_verbosity=verbose",
    "log_min_duration_statement=0",
    "log_parameter_max_length_on_error=-1",
    "log_connections=on",
    "log_disconnections=on",
    "debug_print_parse=on",
    "debug_print_rewritten=on",
    "debug_print_plan=on",
    "log_lock_waits=on",
];

pub(crate) fn everything(file: &Path) {
    // This also takes the records of the crate `log`.
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let guarded = Guarded::by("local all all scram-sha-256", &LOUDEST);
    let mut admin = PgConnection::establish(&guarded.server.url("postgres")).unwrap();
    // Otherwise the administrator's own statements would be in the log.
    admin.run("SET log_statement = none; SET log_min_messages = panic; SET log_min_error_statement = panic");
    admin.run(
        "SET log_min_duration_statement = -1; SET debug_print_parse = off; SET debug_print_rewritten = off",
    );
    admin.run("SET debug_print_plan = off");
    admin.run(&format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"));
    admin.run("CREATE DATABASE shop OWNER app");
    // Only from here on, because the administrator's statements contain the password.
    set_default_instrumentation(|| {
        Some(Box::new(|event: InstrumentationEvent<'_>| println!("{INSTRUMENTATION}{event:?}")))
    })
    .unwrap();
    let options = || {
        ConnectOptions::new().host(guarded.server.directory().to_str().unwrap()).user("app").dbname("shop")
    };

    wrong_passwords(&options());
    let files = every_store(&options().password(PASSWORD));
    on_connections::every_operation(&options().password(PASSWORD));
    webs::every_operation(&options().password(PASSWORD));
    the_tables(&options().password(PASSWORD), &files);
    adopted_and_reverted(&options().password(PASSWORD));
    failures::every_error(&options().password(PASSWORD));
    in_no_file_of_the_servers(guarded);

    std::fs::write(file, KEYS.lock().unwrap().join("\n")).unwrap();
    std::fs::write(crate::of_the_hashed(file), hashed_keys().join("\n")).unwrap();
}

/// r2d2 logs why it gets no connection, and returns the reason when it gives up.
fn wrong_passwords(options: &ConnectOptions) {
    let limit = TimeDelta::milliseconds(300);
    let wrong = options.clone().password(WRONG_PASSWORD);
    println!("{wrong:?}");
    let error = Postgres::builder().connection_timeout(limit).connect_with(&wrong).unwrap_err();
    println!("{}", crate::support::shown(&error));
    let settings = AsyncBuilder::default();
    let store = settings.connection_timeout(limit).connect_with(&wrong);
    let error = crate::waiting::runtime().block_on(store).unwrap_err();
    println!("{}", crate::support::shown(&error));
}

/// Uses each store with hashed keys and with plain ones. Returns the files with hashed keys.
fn every_store(options: &ConnectOptions) -> File {
    let files = File::new();
    for storage in [KeyStorage::Hashed, KeyStorage::Plain] {
        let form = KeyForm(storage);
        let schema = form.schema();
        let settings = || Postgres::builder().key_storage(storage).schema(schema).pool_size(4);
        let postgres = settings().connect_with(options).unwrap();
        println!("{postgres:?} {:?} {:?} {options:?}", postgres.pool(), settings());
        postgres.migrate().unwrap();
        postgres.check().unwrap();
        every_operation(&postgres, form);
        let lifted = Blocking::from(postgres);
        println!("{lifted:?}");
        every_operation(&Arc::new(waiting(lifted)), form);
        for pipelines in [None, Some(2)] {
            let store = made(async {
                let settings = AsyncBuilder::default();
                let mut settings = settings.key_storage(storage).schema(schema).pool_size(4);
                if let Some(pipelines) = pipelines {
                    settings = settings.pipelined(pipelines);
                }
                println!("{settings:?}");
                let store = settings.connect_with(options).await.unwrap();
                store.migrate().await.unwrap();
                store.check().await.unwrap();
                println!("{store:?}");
                store
            });
            every_operation(&Arc::new(store), form);
        }
        let plain = File::new();
        let file = if storage == KeyStorage::Hashed { &files } else { &plain };
        let sqlite = file.store_with(Sqlite::builder().key_storage(storage));
        println!("{sqlite:?} {:?}", sqlite.pool());
        every_operation(&sqlite, form);
        let mariadb = MariaDb::new();
        mariadb.conn().run("SET GLOBAL general_log = 1, GLOBAL log_warnings = 9");
        let mysql = mariadb.store_with(Mysql::builder().key_storage(storage));
        println!("{mysql:?} {:?}", mysql.pool());
        every_operation(&mysql, form);
        let memory = MemorySession::new();
        every_operation(&memory, form);
        println!("{memory:?}");
    }
    files
}

/// Uses the schema that needs no setting, as PgBouncer's transaction mode requires.
fn adopted_and_reverted(options: &ConnectOptions) {
    let settings = Postgres::builder().key_storage(KeyStorage::Plain).pgbouncer(true);
    let store = settings.connect_with(options).unwrap();
    println!("{:?}", store.migrate());
    every_operation(&store, KeyForm(KeyStorage::Plain));
    let mut conn = store.pool().get().unwrap();
    println!("{:?} {:?}", migrations::check(&mut *conn, KeyStorage::Plain), migrations::adopt(&mut conn));
    println!("{:?}", store.check().unwrap_err());
    println!("{:?}", migrations::revert(&mut *conn));
}

/// Values and owners are in their columns and nowhere else. Keys are nowhere, except if a table keeps plain keys.
fn the_tables(options: &ConnectOptions, file: &File) {
    let mut conn = Postgres::builder().connect_with(options).unwrap().pool().get().unwrap();
    for schema in ["hashed", "plain"] {
        let rows = format!(
            "SELECT string_agg((to_jsonb(session) - 'session_data' - 'owner')::text, ' ') FROM {schema}.session"
        );
        let record =
            format!("SELECT string_agg(r::text, ' ') FROM {schema}.__diesel_session_migrations AS r");
        let (rows, record) = (conn.text(&rows), conn.text(&record));
        assert!(rows.contains("session_key") && record.contains("2026"), "{rows} {record}");
        for secret in [VALUE, OWNER, PASSWORD] {
            assert!(!rows.contains(secret) && !record.contains(secret), "{rows} {record}");
        }
        let in_clear = KEYS.lock().unwrap().iter().any(|key| rows.contains(key.as_str()));
        assert_eq!(in_clear, schema == "plain", "{rows}");
    }
    // Searches SQLite's files byte by byte.
    let directory = Path::new(&file.path).parent().unwrap();
    assert_eq!(file.conn().number("SELECT count(*) FROM session WHERE session_data LIKE '%staple%'"), 1);
    assert!(!found(KEYS.lock().unwrap().iter().map(String::as_str), directory));
    assert!(found([VALUE], directory), "values are in clear");
    let columns = "SELECT group_concat(session_key || created_on || expire_date || expire_hour) FROM session";
    let columns = file.conn().text(columns);
    assert!(!columns.contains(VALUE) && !columns.contains(OWNER), "{columns}");
}

/// Searches the tables, the write-ahead log, and the log at its most verbose. A hashed key is in none of them, and a
/// password only as its verifier.
fn in_no_file_of_the_servers(mut guarded: Guarded) {
    let mut admin = PgConnection::establish(&guarded.server.url("postgres")).unwrap();
    admin.run("CHECKPOINT");
    // The files of a running server come and go.
    guarded.server.stop().unwrap();
    let log = guarded.server.log().unwrap();
    for witness in [VALUE, OWNER, "LOG:  00000: execute", "LOG:  00000: plan:", "DEBUG:  "] {
        assert!(log.contains(witness), "the server's log has nothing of {witness}");
    }
    let directory = guarded.server.directory();
    let hashed = hashed_keys();
    assert!(hashed.len() > 30);
    assert!(found([VALUE], directory), "values are in clear");
    assert!(!found(hashed.iter().map(String::as_str), directory), "a key that was to be hashed");
    assert!(!found([PASSWORD, WRONG_PASSWORD], directory), "a password");
}

/// Returns whether a file below that directory contains one of these texts.
fn found<'a>(texts: impl IntoIterator<Item = &'a str>, directory: &Path) -> bool {
    let list = tempfile::NamedTempFile::new().unwrap();
    let texts: Vec<&str> = texts.into_iter().collect();
    assert!(!texts.is_empty());
    std::fs::write(list.path(), texts.join("\n")).unwrap();
    let grep = Command::new("grep").args(["-rqaF", "-f"]).arg(list.path()).arg(directory).status().unwrap();
    match grep.code() {
        Some(code @ (0 | 1)) => code == 0,
        other => panic!("grep: {other:?}"),
    }
}
