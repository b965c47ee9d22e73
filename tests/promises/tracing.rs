//! What each operation logs with the feature `tracing`.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use diesel_session::{Error, Expiry, Now, OwnerLimit, SessionKey, Sessions};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::support::{Database, File, MariaDb, Mysql, Postgres, Sql, Sqlite, in_transaction};

const VALUE: &str = "battery-staple";
const OWNER: &str = "alice@example.org";

/// The log of one test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Returns what `work` logs on this thread, at every level.
fn logged(work: impl FnOnce()) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let guard = subscriber.set_default();
    work();
    drop(guard);
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

/// Returns the one event of an operation, which lies between the events of its span.
fn event<'a>(log: &'a str, operation: &str) -> &'a str {
    let field = format!("operation=\"{operation}\"");
    let is_event = |line: &&str| {
        // The event's line has this field twice: among the span's fields, and among its own.
        line.matches(&field).count() == 2 && !line.contains(" close ") && !line.contains(" exit")
    };
    log.lines().rfind(is_event).unwrap_or_else(|| panic!("{operation}: {log}"))
}

fn panicking(store: &impl Sessions, key: &SessionKey) {
    let update = || store.update(key, Expiry::Default, |_| -> Result<String, Error> { panic!("on purpose") });
    catch_unwind(AssertUnwindSafe(update)).unwrap_err();
}

/// Checks that the keys that operations return are in no log either.
fn no_new_key_is_told(store: &impl Sessions) {
    let (mut keys, mut log) = (Vec::new(), String::new());
    log += &logged(|| keys.push(store.generate(None, None).unwrap()));
    log += &logged(|| keys.push(store.generate_for("bob", None, None).unwrap()));
    let old = keys[0];
    log += &logged(|| keys.push(store.rotate(&old).unwrap()));
    assert!(keys.iter().all(|key| !log.contains(key.as_str())), "{log}");
}

fn each_operation_is_told(store: &impl Sessions, database: &str) {
    type Work<'a> = Box<dyn FnOnce() + 'a>;
    store.clear_owner(OWNER, None).unwrap();
    no_new_key_is_told(store);
    let key = store.generate_for(OWNER, Some(VALUE), None).unwrap();
    let other = store.generate_for(OWNER, None, None).unwrap();
    let handle = store.handle(&other);
    let unknown = "k".repeat(40).parse().unwrap();
    let cases: Vec<(&str, &str, Work)> = vec![
        ("generate", "ok", Box::new(|| drop(store.generate(Some(VALUE), None)))),
        ("generate", "refused", Box::new(|| drop(store.generate(Some("\0"), None)))),
        ("generate", "refused", Box::new(|| drop(store.generate_for(OWNER, None, None)))),
        ("get", "ok", Box::new(|| drop(store.get(&key)))),
        ("get", "not_found", Box::new(|| drop(store.get(&unknown)))),
        ("get", "not_set", Box::new(|| drop(store.get(&other)))),
        ("set", "ok", Box::new(|| drop(store.set(&key, VALUE, None)))),
        ("touch", "ok", Box::new(|| drop(store.touch(&key, Expiry::Default)))),
        (
            "update",
            "ok",
            Box::new(|| drop(store.update(&key, Expiry::Default, |_| Ok::<_, Error>(VALUE.to_owned())))),
        ),
        (
            "update",
            "refused",
            Box::new(|| drop(store.update(&key, Expiry::Default, |_| Ok::<_, Error>("\0".to_owned())))),
        ),
        ("update", "panicked", Box::new(|| panicking(store, &key))),
        ("find", "ok", Box::new(|| drop(store.find(&key)))),
        (
            "update",
            "abandoned",
            Box::new(|| drop(store.update(&key, Expiry::Default, |_| Err(Error::NotSet)))),
        ),
        ("replace", "ok", Box::new(|| drop(store.replace(&key, Some(VALUE), VALUE, Expiry::Default)))),
        ("replace", "changed", Box::new(|| drop(store.replace(&key, None, VALUE, Expiry::Default)))),
        ("bind", "ok", Box::new(|| drop(store.bind(&key, OWNER)))),
        ("set_label", "ok", Box::new(|| drop(store.set_label(&key, Some(VALUE))))),
        ("set_label", "refused", Box::new(|| drop(store.set_label(&key, Some("\0"))))),
        ("sessions_of", "ok", Box::new(|| drop(store.sessions_of(OWNER, 100)))),
        ("clear_listed", "ok", Box::new(|| drop(store.clear_listed(OWNER, &handle)))),
        ("clear_owner", "ok", Box::new(|| drop(store.clear_owner(OWNER, Some(&key))))),
        ("clear_owner", "not_found", Box::new(|| drop(store.clear_others(OWNER, &handle)))),
        ("list", "ok", Box::new(|| drop(store.list(None, None, 10)))),
        ("clear_handle", "ok", Box::new(|| drop(store.clear_handle(&handle)))),
        ("count", "ok", Box::new(|| drop(store.count()))),
        ("delete_expired", "ok", Box::new(|| drop(store.delete_expired(10)))),
        ("rotate", "ok", Box::new(|| drop(store.rotate(&key)))),
        ("clear", "ok", Box::new(|| drop(store.clear(&key)))),
        ("clear_all", "ok", Box::new(|| drop(store.clear_all()))),
    ];
    for (operation, outcome, work) in cases {
        let log = logged(work);
        let event = event(&log, operation);
        assert!(event.contains("DEBUG"), "{event}");
        assert!(event.contains(&format!("database=\"{database}\"")), "{event}");
        assert!(event.contains(&format!("outcome=\"{outcome}\"")), "{event}");
        let closed = log.lines().find(|line| line.contains("close")).expect("the span's end");
        assert!(closed.contains(&format!("outcome=\"{outcome}\"")), "{closed}");
        for secret in [VALUE, OWNER, key.as_str(), other.as_str()] {
            assert!(!log.contains(secret), "{log}");
        }
    }
}

#[test]
fn each_operation_is_logged_with_its_outcome_and_without_secrets_on_postgres() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().owner_limit(OwnerLimit::Refuse(2)));
    each_operation_is_told(&store, "postgres");
    in_transaction(&store, |on_connection| each_operation_is_told(on_connection, "postgres"));
}

#[test]
fn each_operation_is_logged_with_its_outcome_and_without_secrets_on_sqlite() {
    let file = File::new();
    let store = file.store_with(Sqlite::builder().owner_limit(OwnerLimit::Refuse(2)));
    each_operation_is_told(&store, "sqlite");
    in_transaction(&store, |on_connection| each_operation_is_told(on_connection, "sqlite"));
}

#[test]
fn each_operation_is_logged_with_its_outcome_and_without_secrets_on_mariadb() {
    let database = MariaDb::new();
    let store = database.store_with(Mysql::builder().owner_limit(OwnerLimit::Refuse(2)));
    each_operation_is_told(&store, "mysql");
    in_transaction(&store, |on_connection| each_operation_is_told(on_connection, "mysql"));
}

#[test]
fn a_failure_is_logged_as_a_warning_without_the_databases_message() {
    let database = Database::new();
    let store = database.store();
    let key = store.generate(Some("x"), None).unwrap();
    database.conn().run(&format!("ALTER TABLE session ADD CHECK (session_data <> '{VALUE}')"));
    let log = logged(|| drop(store.set(&key, VALUE, None)));
    let event = event(&log, "set");
    assert!(event.contains("WARN") && event.contains("outcome=\"failed\""), "{event}");
    assert!(event.contains("error=the database failed"), "{event}");
    assert!(!log.contains(VALUE) && !log.contains(key.as_str()), "{log}");
}
