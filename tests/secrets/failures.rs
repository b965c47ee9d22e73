//! Provokes every error of the crate.

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::channel;
use std::time::Duration;

use actix_session::storage::{SaveError, SessionStore as _};
use diesel::connection::Connection as _;
use diesel_session::{
    ActixSessionStore, AsyncDieselSession, Blocking, ConnectOptions, Error, Expiry, KeyStorage,
    MemorySession, MigrationError, Now as _, OwnerLimit, SessionTable, Sessions as _, Sweeper, TimeDelta,
    json, migrations,
};
use throwaway_postgres::{PgBouncer, Server};

use crate::loudly::remember;
use crate::proxy::{Cut, Proxy};
use crate::support::{Database, LATE, MariaDb, Mysql, Postgres, Sql as _, shown};
use crate::waiting::RUNTIME;
use crate::{OWNER, PASSWORD, VALUE};

/// The error for a failure of the operating system's generator or threads, without which no program starts. Its text
/// contains nothing of a session.
const NEVER_SEEN: &str = "System";

/// Prints each error, and fails if an error of the crate is not among them.
pub(crate) fn every_error(options: &ConnectOptions) {
    let errors = [
        refusals(options),
        of_a_table(),
        of_settings(),
        of_a_server(),
        of_a_pooler(),
        of_migrations(),
        of_places(),
        of_web_stores(),
        of_mariadb(),
    ];
    let errors: Vec<Error> = errors.into_iter().flatten().collect();
    let mut seen = BTreeSet::new();
    for error in &errors {
        println!("{}", shown(error));
        seen.insert(name(&format!("{error:?}")));
        if let Error::Migration(error) = error {
            seen.insert(name(&format!("{error:?}")));
        }
    }
    let sources = [include_str!("../../src/error/mod.rs"), include_str!("../../src/error/migration.rs")];
    let there_are = variants(&sources.concat());
    assert!(there_are.len() > 25 && there_are.contains("ServerTimeout"), "{there_are:?}");
    seen.insert(NEVER_SEEN.to_owned());
    assert_eq!(seen, there_are, "an error that nobody has looked at, or one that is no more");
}

/// Returns the name of a variant, with which its `Debug` text begins.
fn name(debug: &str) -> String {
    debug.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// Returns the names of all variants of both enumerations, found by the layout of the source.
fn variants(source: &str) -> BTreeSet<String> {
    let indented = source.lines().filter_map(|line| line.strip_prefix("    "));
    let capital =
        |line: &&str| line.starts_with(|c: char| c.is_ascii_uppercase()) && !line.starts_with("Self");
    indented.filter(capital).map(name).collect()
}

fn refusals(options: &ConnectOptions) -> Vec<Error> {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().owner_limit(OwnerLimit::Refuse(1)));
    let key = remember(&store.generate(Some(VALUE), None).unwrap());
    let unset = remember(&store.generate_for(OWNER, None, None).unwrap());
    let unknown = remember(&"unknownkey".repeat(4).parse().unwrap());
    let stray = format!("host=127.0.0.1 password=very {PASSWORD}");
    vec![
        store.get(&unknown).unwrap_err(),
        store.get(&unset).unwrap_err(),
        store.replace(&key, Some(&format!("not {VALUE}")), VALUE, Expiry::Default).unwrap_err(),
        store.set(&key, &VALUE.repeat(1 << 20), None).unwrap_err(),
        store.set(&key, &format!("{VALUE}\0"), None).unwrap_err(),
        store.set(&key, VALUE, Some(TimeDelta::MAX)).unwrap_err(),
        store.bind(&key, &OWNER.repeat(20)).unwrap_err(),
        store.bind(&key, &format!("{OWNER}\0")).unwrap_err(),
        store.bind(&key, &format!("\u{1}{OWNER}")).unwrap_err(),
        store.bind(&key, OWNER).unwrap_err(),
        store.set_label(&key, Some(&VALUE.repeat(20))).unwrap_err(),
        store.set_label(&key, Some(&format!("{VALUE}\0"))).unwrap_err(),
        store.update(&key, Expiry::Keep, |_| store.get(&key).map(|(value, _left)| value)).unwrap_err(),
        json::decode::<u32>(&format!("\"{VALUE}\"")).unwrap_err(),
        json::encode(&HashMap::from([((VALUE, 1), 1)])).unwrap_err(),
        stray.parse::<ConnectOptions>().unwrap_err(),
        Postgres::builder().schema("").connect_with(options).unwrap_err(),
    ]
}

/// A field that names no owner, and data that are nested too deeply.
fn of_web_stores() -> Vec<Error> {
    let store = ActixSessionStore::new(Blocking::new(MemorySession::new(), 1)).owner_from("user");
    let deep = format!("{}\"{VALUE}\"{}", "[".repeat(200), "]".repeat(200));
    let refused = |field: &str, text: String| {
        let saved = store.save([(field.to_owned(), text)].into(), &time::Duration::HOUR);
        match RUNTIME.block_on(saved) {
            Err(SaveError::Serialization(error)) => error.downcast().unwrap(),
            other => panic!("{other:?}"),
        }
    };
    vec![refused("user", format!("{{\"name\": \"{VALUE}\"}}")), refused("deep", deep)]
}

fn of_a_table() -> Vec<Error> {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().owner_limit(OwnerLimit::EndOldest(1)));
    let key = remember(&store.generate_for(OWNER, Some(VALUE), None).unwrap());
    let mut conn = database.conn();
    let mut errors = Vec::new();
    // PostgreSQL adds the failing row as a detail, with key and value.
    conn.run(&format!("ALTER TABLE session ADD CHECK (session_data <> '{VALUE}') NOT VALID"));
    errors.push(store.set(&key, VALUE, None).unwrap_err());
    errors.push(store.on(&mut conn).set(&key, VALUE, None).unwrap_err());
    let kept = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'";
    conn.run(kept);
    conn.run("CREATE TRIGGER keep BEFORE DELETE ON session FOR EACH ROW EXECUTE FUNCTION keep()");
    errors.push(store.clear_owner(OWNER, None).unwrap_err());
    errors.push(partly_cleared());
    conn.run("CREATE TRIGGER lose BEFORE INSERT ON session FOR EACH ROW EXECUTE FUNCTION keep()");
    errors.push(store.generate(Some(VALUE), None).unwrap_err());
    conn.run("DROP TABLE session");
    errors.push(store.set(&key, VALUE, None).unwrap_err());
    // A sweeper reports the error as well.
    let (report, reports) = channel();
    let sweeper = Sweeper::builder(store)
        .interval(TimeDelta::milliseconds(1))
        .jitter(TimeDelta::zero())
        .on_error(move |error| drop(report.send(shown(error))));
    let sweeper = sweeper.start().unwrap();
    println!("{}", reports.recv_timeout(LATE).unwrap());
    drop(sweeper);
    errors
}

/// The second batch contains a row that cannot be deleted.
fn partly_cleared() -> Error {
    let database = Database::new();
    let store = database.store();
    database.conn().run(&format!(
        "INSERT INTO session (session_key, owner, session_data, expire_date) \
         SELECT '$' || lpad(n::text, 39, '0'), '{OWNER}', '{VALUE}', now() + interval '1 hour' \
         FROM generate_series(1, 1500) AS n; \
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''kept''; END'; \
         CREATE TRIGGER fail BEFORE DELETE ON session FOR EACH ROW \
         WHEN (old.session_key = '$' || lpad('1500', 39, '0')) EXECUTE FUNCTION fail()"
    ));
    store.clear_owner(OWNER, None).unwrap_err()
}

/// The errors of a server that ends idle transactions, and that accepts no writes.
fn of_settings() -> Vec<Error> {
    let database = Database::new();
    let key = remember(&database.store().generate(Some(VALUE), None).unwrap());
    let alter = format!("ALTER DATABASE {} SET", database.name());
    database.conn().run(&format!("{alter} idle_in_transaction_session_timeout = '50ms'"));
    let other = database.store();
    let mut runs = 0;
    // The third run has a transaction, because another writer came first twice.
    let overtaken_and_slow = |_| {
        runs += 1;
        other.set(&key, &format!("{VALUE} {runs}"), None)?;
        std::thread::sleep(Duration::from_millis(200));
        Ok::<_, Error>(VALUE.to_owned())
    };
    let store = Postgres::connect(&database.url).unwrap();
    let interrupted = store.update(&key, Expiry::Default, overtaken_and_slow).unwrap_err();
    database.conn().run(&format!("{alter} default_transaction_read_only = on"));
    let read_only = Postgres::connect(&database.url).unwrap();
    vec![interrupted, read_only.set(&key, VALUE, None).unwrap_err()]
}

fn of_a_server() -> Vec<Error> {
    const SHORT: TimeDelta = TimeDelta::milliseconds(500);
    let mut server = Server::start(&[]).unwrap();
    let mut errors = Vec::new();
    let proxy = Proxy::before(&server.directory().join(".s.PGSQL.5432"));
    let url = server.url("postgres");
    let options: ConnectOptions = proxy.through(&url).parse().unwrap();
    let store = Postgres::builder().pool_size(1).connect_with(&options.password(PASSWORD)).unwrap();
    store.migrate().unwrap();
    let key = remember(&store.generate(Some(VALUE), None).unwrap());
    let replace = || store.replace(&key, Some(VALUE), VALUE, Expiry::Default);
    replace().unwrap();
    // The first request asks whether the connection is alive, so this cuts the second.
    proxy.cut(2, Cut::Answer);
    errors.push(replace().unwrap_err());

    let options: ConnectOptions = url.parse().unwrap();
    let settings = || Postgres::builder().pool_size(1).connection_timeout(SHORT).statement_timeout(SHORT);
    let store = settings().connect_with(&options.clone().password(PASSWORD)).unwrap();
    store.get(&key).unwrap();
    server.pause().unwrap();
    errors.push(store.get(&key).unwrap_err());
    server.resume().unwrap();
    let store = settings().connect_with(&options.password(PASSWORD)).unwrap();
    store.get(&key).unwrap();
    server.stop().unwrap();
    errors.push(store.get(&key).unwrap_err());
    errors.push(store.set(&key, VALUE, None).unwrap_err());
    errors
}

/// The errors of tables in the wrong place, or of the wrong role.
fn of_places() -> Vec<Error> {
    let latin = Database::in_encoding("LATIN1");
    let mut errors = vec![migrations::check(&mut latin.conn(), KeyStorage::Hashed).unwrap_err()];
    let server = Server::start(&[]).unwrap();
    let database = Database::on(&server.url("postgres"));
    database.store();
    let mut conn = database.conn();
    conn.run(
        "CREATE ROLE mallory; CREATE ROLE app LOGIN; CREATE SCHEMA shop; SET search_path = shop, public",
    );
    errors.push(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap_err());
    conn.run("SET search_path = nowhere");
    errors.push(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap_err());
    conn.run("SET search_path = public; ALTER TABLE session OWNER TO mallory");
    errors.push(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap_err());
    conn.run("SET ROLE app");
    errors.push(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap_err());
    errors.push(SessionTable::new().schema("shop").check(&mut conn).unwrap_err());
    errors
}

/// The error of a pooler in transaction mode, which the asynchronous store refuses.
fn of_a_pooler() -> Vec<Error> {
    let server = Server::start(&[]).unwrap();
    let bouncer = PgBouncer::start(&server, &["pool_mode = transaction"]).unwrap();
    let options: ConnectOptions = bouncer.url("postgres").parse().unwrap();
    let options = options.password(PASSWORD);
    let refused = RUNTIME.block_on(AsyncDieselSession::builder().connect_with(&options));
    vec![refused.unwrap_err()]
}

fn of_migrations() -> Vec<Error> {
    let database = Database::new();
    let mut conn = database.conn();
    let (hashed, plain) = (
        Postgres::connect(&database.url).unwrap(),
        Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap(),
    );
    let mut errors = vec![hashed.check().unwrap_err()];
    conn.run("CREATE TABLE session (id integer)");
    errors.push(hashed.migrate().unwrap_err());
    conn.run("DROP TABLE session; CREATE TABLE session_owner_idx (id integer)");
    errors.push(hashed.migrate().unwrap_err());
    conn.run("DROP TABLE session_owner_idx");
    hashed.migrate().unwrap();
    let key = remember(&plain.generate(Some(VALUE), None).unwrap());
    errors.push(hashed.check().unwrap_err());
    plain.clear(&key).unwrap();
    remember(&hashed.generate_for(OWNER, Some(VALUE), None).unwrap());
    errors.push(plain.check().unwrap_err());
    // Another transaction reads the table for longer than the migration tries to lock it.
    migrations::revert(&mut conn).unwrap();
    conn.run("BEGIN; SELECT FROM session");
    errors.push(hashed.migrate().unwrap_err());
    conn.run("COMMIT");
    hashed.migrate().unwrap();
    conn.run("DROP TABLE session");
    errors.push(hashed.migrate().unwrap_err());
    assert!(errors.iter().all(|error| matches!(error, Error::Migration(_))));
    assert!(matches!(&errors[0], Error::Migration(MigrationError::Missing { .. })));
    errors
}

/// Also the text of a key that is taken, which the server quotes.
fn of_mariadb() -> Vec<Error> {
    let database = MariaDb::new();
    let mut conn = database.conn();
    conn.begin_test_transaction().unwrap();
    let within = migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap_err();
    let store = database.store_with(Mysql::builder().key_storage(KeyStorage::Plain));
    let small = store_with_large_values(&database.url).check().unwrap_err();
    // Diesel's instrumentation shows the server's text, and it quotes the taken key: SECURITY.md says so.
    let keys = [(); 2].map(|()| store.generate(None, None).unwrap());
    let taken = keys.iter().map(|key| key.as_str().to_owned()).max().unwrap();
    let old = keys.into_iter().min_by_key(|key| key.as_str().to_owned()).unwrap();
    database.conn().run(
        "CREATE TABLE taken AS SELECT MAX(session_key) AS stored FROM session; \
         CREATE TRIGGER taken BEFORE UPDATE ON session FOR EACH ROW \
         SET NEW.session_key = (SELECT stored FROM taken)",
    );
    let duplicate = store.rotate(&old).unwrap_err();
    assert!(
        matches!(duplicate, Error::Database(_)) && !shown(&duplicate).contains(&taken),
        "it shows the taken key"
    );
    database.conn().run("DELETE FROM session_owner_lock");
    vec![within, small, duplicate, store.check().unwrap_err()]
}

/// Larger than the server's packets.
fn store_with_large_values(url: &str) -> Mysql {
    Mysql::builder().value_limit(1 << 30).connect(url).unwrap()
}
