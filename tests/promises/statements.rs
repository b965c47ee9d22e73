//! The statements that the server sees. Each finds its rows by an index, and is parsed once per connection. (The
//! original sent each as a new one: fault 16.)

use std::collections::BTreeSet;
use std::sync::Mutex;

use diesel::connection::InstrumentationEvent;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_session::{
    AsyncDieselSession, Blocking, Error, Expiry, Now, OwnerLimit, SessionKey, Sessions, TimeDelta,
    TowerSessionStore,
};
use throwaway_postgres::Server;
use time::{Duration, OffsetDateTime};
use tower_sessions::SessionStore as _;
use tower_sessions::session::{Id, Record};

use crate::support::{Database, PARTITION, Postgres, Sql, Store};
use crate::waiting::{self, made};

/// A step of SQLite's plan.
#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// Returns what the server has logged since `before` characters.
fn log_since(server: &Server, before: usize) -> String {
    server.log().unwrap().split_off(before)
}

/// Each operation with the number of its statements. In this order, each operation finds what it needs.
pub(crate) const OPERATIONS: [(usize, &str); 24] = [
    (1, "generate"),
    (1, "set"),
    (1, "get"),
    (1, "touch that writes"),
    (1, "rotate"),
    // The first statement asks whether the connection is alive, because `replace` cannot be retried.
    (2, "replace"),
    (1, "bind"),
    (1, "sessions_of"),
    (2, "update"),
    (1, "find"),
    (1, "put"),
    (1, "set_label"),
    (2, "touch that does not write"),
    (2, "clear_listed"),
    (1, "generate_for"),
    // It locks the owner and asks for the time. It asks for the newest session, also among those that are being
    // renewed. It deletes both kinds, and looks again.
    (7, "clear_owner"),
    (1, "generate"),
    (1, "clear"),
    // There is no session, so it looks whether the session was renewed.
    (2, "clear"),
    (1, "count"),
    (1, "delete_expired"),
    (1, "list"),
    // It reads keys.
    (1, "clear_handle"),
    // It locks twice, asks for the time, deletes twice, and looks once. The second time nothing is left.
    (6, "clear_all"),
];

pub(crate) fn run(store: &impl Store, key: &mut SessionKey, operation: &str) {
    match operation {
        "generate" => *key = store.generate(Some("x"), Some(TimeDelta::hours(1))).unwrap(),
        "set" => store.set(key, "x", Some(TimeDelta::hours(1))).unwrap(),
        "get" => drop(store.get(key).unwrap()),
        "touch that writes" => assert!(store.touch(key, Expiry::Default).unwrap()),
        "rotate" => *key = store.rotate(key).unwrap(),
        "replace" => store.replace(key, Some("x"), "x", Expiry::Default).unwrap(),
        "bind" => store.bind(key, "alice").unwrap(),
        "sessions_of" => drop(store.sessions_of("alice", 100).unwrap()),
        "update" => drop(store.update(key, Expiry::Default, |_| Ok::<_, Error>("x".to_owned())).unwrap()),
        "find" => assert_eq!(store.find(key).unwrap().owner.as_deref(), Some("alice")),
        "put" => store.put(key, "x", Expiry::Keep).unwrap(),
        "set_label" => store.set_label(key, Some("Firefox")).unwrap(),
        "touch that does not write" => assert!(!store.touch(key, Expiry::Default).unwrap()),
        "clear_listed" => assert!(store.clear_listed("alice", &store.handle(key)).unwrap()),
        "generate_for" => *key = store.generate_for("alice", None, None).unwrap(),
        "clear_owner" => assert_eq!(store.clear_owner("alice", None).unwrap(), 1),
        "clear" => store.clear(key).unwrap(),
        "count" => drop(store.count().unwrap()),
        "delete_expired" => drop(store.delete_expired(10).unwrap()),
        "list" => drop(store.list(Some("alice"), None, 10).unwrap()),
        "clear_handle" => assert!(!store.clear_handle(&store.handle(key)).unwrap()),
        "clear_all" => drop(store.clear_all().unwrap()),
        other => panic!("{other}"),
    }
}

/// The second run sends nothing else either. In particular, it does not ask whether a connection is alive before use.
fn parses_nothing_the_second_time(server: &Server, store: &impl Store) {
    let mut key = store.generate(None, None).unwrap();
    for first in [true, false] {
        for (statements, operation) in OPERATIONS {
            let before = server.log().unwrap().len();
            run(store, &mut key, operation);
            let log = log_since(server, before);
            assert_eq!(log.matches(" execute ").count(), statements, "{operation}: {log}");
            if operation == "update" {
                assert_eq!(log.matches("BEGIN").count(), 0, "it has no transaction: {log}");
            }
            if !first {
                assert_eq!(log.matches(" parse ").count(), 0, "{operation}: {log}");
            }
        }
    }
}

#[test]
fn the_second_of_each_operation_on_a_connection_parses_nothing() {
    let server = Server::start(&["log_min_duration_statement=0"]).unwrap();
    let store = Postgres::builder().pool_size(1).connect(&server.url("postgres")).unwrap();
    store.migrate().unwrap();
    parses_nothing_the_second_time(&server, &store);
}

#[test]
fn the_second_of_each_operation_on_an_asynchronous_connection_parses_nothing() {
    let server = Server::start(&["log_min_duration_statement=0"]).unwrap();
    let store = made(async {
        let builder = AsyncDieselSession::builder().pool_size(1);
        let store = builder.connect(&server.url("postgres")).await.unwrap();
        store.migrate().await.unwrap();
        store
    });
    parses_nothing_the_second_time(&server, &store);
}

/// Makes a visit with a store for a web framework, which sends further statements: from the first save of its session
/// to its end.
pub(crate) fn visit(store: &Postgres) {
    let store = TowerSessionStore::new(Blocking::from(store.clone())).owner_from("user");
    waiting::runtime().block_on(async {
        let expiry_date = OffsetDateTime::now_utc() + Duration::hours(1);
        let mut record = Record { id: Id::default(), data: [].into(), expiry_date };
        store.create(&mut record).await.unwrap();
        for user in ["carol", "dave"] {
            record.data.insert("user".to_owned(), user.into());
            store.save(&record).await.unwrap();
        }
        // The owner stays the same.
        store.save(&record).await.unwrap();
        assert!(store.load(&record.id).await.unwrap().is_some());
        store.delete(&record.id).await.unwrap();
    });
}

/// Citus refuses these on a table that is distributed by `session_key`. Citus itself does not run here. Measurements
/// showed what it refuses.
#[test]
fn no_statement_has_what_citus_refuses() {
    let server = Server::start(&["log_min_duration_statement=0"]).unwrap();
    let builder = Postgres::builder().pool_size(1).owner_limit(OwnerLimit::EndOldest(1));
    let store = builder.connect(&server.url("postgres")).unwrap();
    store.migrate().unwrap();
    let before = server.log().unwrap().len();
    let mut key = store.generate(None, None).unwrap();
    for (_, operation) in OPERATIONS {
        run(&store, &mut key, operation);
    }
    visit(&store);
    let log = log_since(&server, before);
    assert!(log.contains("pg_advisory_xact_lock") && log.contains("WITH moved AS"), "{log}");
    for refused in [
        "clock_timestamp",
        "now()",
        "ctid",
        "SKIP LOCKED",
        "DO UPDATE",
        "SET \"session_key\"",
        // With a time zone, `+` is stable. In an UPDATE, a stable function may not touch a column.
        "\"created_on\" +",
        "\"expire_date\" +",
    ] {
        assert!(!log.contains(refused), "{refused}: {log}");
    }
}

/// Runs `work` on a large table, and returns the plans of its statements. `prepare` changes the table first. The second
/// store has an owner limit of one session.
fn plans_of(prepare: impl FnOnce(&mut PgConnection), work: impl FnOnce(&Postgres, &Postgres)) -> String {
    let server = Server::start(&[
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
        // Otherwise autovacuum's statements would also be in the log.
        "autovacuum=off",
    ])
    .unwrap();
    let database = Database::on(&server.url("postgres"));
    let store = Postgres::builder().pool_size(1).connect(&database.url).unwrap();
    store.migrate().unwrap();
    let limited = Postgres::builder().pool_size(1).owner_limit(OwnerLimit::EndOldest(1));
    let limited = limited.connect(&database.url).unwrap();
    let mut conn = database.conn();
    prepare(&mut conn);
    conn.run(
        "INSERT INTO session (session_key, expire_date, session_data) \
         SELECT '$' || md5(n::text) || '0000000', now() + interval '1 hour', repeat('x', 200) \
         FROM generate_series(1, 60000) AS n; \
         INSERT INTO session (session_key, expire_date) \
         SELECT '$' || md5('dead' || n) || '0000000', now() - interval '1 day' \
         FROM generate_series(1, 5000) AS n",
    );
    conn.run("VACUUM ANALYZE session");

    let before = server.log().unwrap().len();
    work(&store, &limited);
    log_since(&server, before)
}

/// Runs each operation eight times.
fn each_operation(store: &Postgres, limited: &Postgres) {
    // PostgreSQL plans the first five runs for their values. After that it may keep one plan for all.
    for _ in 0..8 {
        let key = store.generate(Some("x"), None).unwrap();
        store.set(&key, "y", None).unwrap();
        store.get(&key).unwrap();
        store.touch(&key, Expiry::After(TimeDelta::days(30))).unwrap();
        store.bind(&key, "alice").unwrap();
        store.replace(&key, Some("y"), "z", Expiry::Default).unwrap();
        store.update(&key, Expiry::Default, |_| Ok::<_, Error>("x".to_owned())).unwrap();
        let key = store.rotate(&key).unwrap();
        assert_eq!(store.sessions_of("alice", 100).unwrap().len(), 1);
        assert!(store.clear_listed("alice", &store.handle(&key)).unwrap());
        assert_eq!(store.list(None, None, 50).unwrap().sessions.len(), 50);
        store.generate_for("alice", None, None).unwrap();
        assert_eq!(store.list(Some("alice"), None, 50).unwrap().sessions.len(), 1);
        assert_eq!(store.clear_owner("alice", None).unwrap(), 1);
        store.clear(&key).unwrap();
        assert_eq!(store.delete_expired(100).unwrap(), 100);
        limited.generate_for("bob", None, None).unwrap();
        visit(store);
    }
}

/// The plan of every DELETE of many rows. So all lock their rows in one order, and no two of them deadlock.
const DELETE_OF_MANY: &str = "->  Bitmap Heap Scan on session";

#[test]
fn every_statement_finds_its_rows_by_an_index() {
    let plans = plans_of(|_| (), each_operation);
    assert!(!plans.contains("Seq Scan on session"), "{plans}");
    let deletes = plans.split("Delete on session").skip(1).map(|rest| rest.split(" LOG: ").next().unwrap());
    let of_many: Vec<&str> = deletes.filter(|plan| plan.contains("InitPlan")).collect();
    assert_eq!(of_many.len(), 39, "five statements, eight times each, but the first login ends no other");
    let scan = |plan: &str| {
        let is_outer = |line: &&str| {
            line.contains(" on session ") && line.contains("->") && !line.contains("candidates")
        };
        let line = plan.lines().find(is_outer).unwrap_or_else(|| panic!("{plan}"));
        line.split("  (cost").next().unwrap().trim().to_owned()
    };
    let scans: BTreeSet<String> = of_many.iter().map(|plan| scan(plan)).collect();
    assert_eq!(scans, BTreeSet::from([DELETE_OF_MANY.to_owned()]));
    assert!(of_many.iter().all(|plan| plan.contains("Cond: (session_key = ANY")), "{plans}");
    let by_key = plans.matches("Index Scan using session_key_idx").count();
    assert!(by_key >= 136, "seventeen statements by the key, eight times each: {by_key}\n{plans}");
    let by_owner = plans.matches("session_owner_idx").count();
    assert!(by_owner >= 32, "four statements by the owner, eight times each: {by_owner}\n{plans}");
    assert_eq!(plans.matches("using session_expire_hour_idx").count(), 8, "{plans}");
    assert_eq!(plans.matches("Conflict Arbiter Indexes: session_key_idx").count(), 32, "{plans}");
}

#[test]
fn clear_all_deletes_by_the_key_and_reads_the_table_once() {
    let plans = plans_of(|_| (), |store, _| assert_eq!(store.clear_all().unwrap(), 60_000));
    assert_eq!(plans.matches("Delete on session").count(), 66, "65 batches of 1,000, and one of none");
    assert_eq!(plans.matches(&format!("{DELETE_OF_MANY}  (cost")).count(), 66, "{plans}");
    assert_eq!(plans.matches("Seq Scan on session").count(), 1, "{plans}");
}

/// A statement by a key asks one partition. Any other statement asks each.
#[test]
fn every_statement_finds_its_rows_by_an_index_of_a_partition() {
    let plans = plans_of(|conn| conn.run(PARTITION), each_operation);
    assert!(!plans.contains("Seq Scan on session"), "{plans}");
    let scans = |index: &str| {
        let is = |line: &&str| line.contains("Index Scan using session_p") && line.contains(index);
        plans.lines().filter(is).count()
    };
    let by_key = scans("_pkey on");
    assert!(
        (288..312).contains(&by_key),
        "twenty-one statements by the key, each in one partition, and a list of all sessions: {by_key}\n{plans}"
    );
    assert_eq!(scans("_expire_hour_idx on"), 8 * 16, "{plans}");
    let by_owner = scans("_owner_created_on_idx on");
    assert!(by_owner >= 32 * 16, "four statements by the owner, in each partition: {by_owner}\n{plans}");
}

#[test]
fn sqlite_finds_its_rows_by_an_index() {
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let file = crate::support::File::new();
    let store = file.store();
    let mut conn = store.pool().get().unwrap();
    conn.set_instrumentation(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            // Diesel shows the SQL and, after a marker, its parameters.
            let query = query.to_string();
            let sql = query.split(" -- binds").next().unwrap_or_default().to_owned();
            SEEN.lock().unwrap().push(sql);
        }
    });
    let key = store.on(&mut conn).generate(Some("x"), None).unwrap();
    store.on(&mut conn).set(&key, "y", None).unwrap();
    store.on(&mut conn).get(&key).unwrap();
    store.on(&mut conn).touch(&key, Expiry::After(TimeDelta::days(30))).unwrap();
    store.on(&mut conn).bind(&key, "alice").unwrap();
    store.on(&mut conn).replace(&key, Some("y"), "z", Expiry::Default).unwrap();
    store.on(&mut conn).update(&key, Expiry::Default, |_| Ok::<_, Error>("x".to_owned())).unwrap();
    let key = store.on(&mut conn).rotate(&key).unwrap();
    store.on(&mut conn).sessions_of("alice", 100).unwrap();
    store.on(&mut conn).clear_owner("alice", None).unwrap();
    store.on(&mut conn).delete_expired(10).unwrap();
    store.on(&mut conn).list(None, None, 10).unwrap();
    store.on(&mut conn).list(Some("alice"), None, 10).unwrap();
    store.on(&mut conn).clear_handle(&store.handle(&key)).unwrap();
    store.on(&mut conn).clear(&key).unwrap();

    let transactional = |sql: &String| ["BEGIN", "COMMIT"].iter().any(|word| sql.starts_with(word));
    let mut statements: Vec<String> = SEEN.lock().unwrap().clone();
    statements.retain(|statement| !transactional(statement));
    assert_eq!(statements.len(), 26, "{statements:?}");
    let mut plain = file.conn();
    for statement in statements.iter().filter(|statement| !statement.starts_with("INSERT")) {
        let steps: Vec<Step> =
            diesel::sql_query(format!("EXPLAIN QUERY PLAN {statement}")).load(&mut plain).unwrap();
        assert!(!steps.is_empty());
        for step in steps {
            let scans = step.detail.starts_with("SCAN") && step.detail != "SCAN CONSTANT ROW";
            assert!(!scans, "{statement}: {}", step.detail);
        }
    }
}
