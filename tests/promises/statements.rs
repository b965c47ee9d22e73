//! What the server sees: every statement by an index, and parsed once a connection (fault 16 of the
//! original, which sent each anew).

use std::sync::Mutex;

use diesel::connection::InstrumentationEvent;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_session::Now;
use throwaway_postgres::Server;

use crate::support::{Database, Postgres, Sql};

/// A step of SQLite's plan.
#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// What the server has logged since `before` characters.
fn log_since(server: &Server, before: usize) -> String {
    server.log().unwrap().split_off(before)
}

#[test]
fn the_second_of_each_operation_on_a_connection_parses_nothing() {
    let server = Server::start(&["log_min_duration_statement=0"]).unwrap();
    let store = Postgres::builder().pool_size(1).connect(&server.url("postgres")).unwrap();
    store.migrate().unwrap();
    let all = || {
        let key = store.generate(Some("x".to_owned()), None).unwrap();
        store.set(&key, "y".to_owned(), None).unwrap();
        store.get(&key).unwrap();
        store.clear(&key).unwrap();
        store.delete_expired(10).unwrap();
    };
    let before = server.log().unwrap().len();
    all();
    let first = log_since(&server, before);
    assert_eq!(first.matches(" parse ").count(), 5, "{first}");
    assert_eq!(first.matches(" execute ").count(), 5, "one statement an operation: {first}");

    let before = server.log().unwrap().len();
    all();
    let second = log_since(&server, before);
    assert_eq!(second.matches(" parse ").count(), 0, "{second}");
    assert_eq!(second.matches(" execute ").count(), 5, "{second}");
}

#[test]
fn every_statement_finds_its_rows_by_an_index() {
    let server = Server::start(&[
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
        // Its own statements would stand in the log, too.
        "autovacuum=off",
    ])
    .unwrap();
    let database = Database::on(&server.url("postgres"));
    let store = Postgres::builder().pool_size(1).connect(&database.url).unwrap();
    store.migrate().unwrap();
    let mut conn = database.conn();
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
    // PostgreSQL plans the first five runs for their values and then may keep one plan for all.
    for _ in 0..8 {
        let key = store.generate(Some("x".to_owned()), None).unwrap();
        store.set(&key, "y".to_owned(), None).unwrap();
        store.get(&key).unwrap();
        store.clear(&key).unwrap();
        assert_eq!(store.delete_expired(100).unwrap(), 100);
    }
    let plans = log_since(&server, before);
    assert!(!plans.contains("Seq Scan on session"), "{plans}");
    let by_key = plans.matches("Index Scan using session_key_idx").count();
    assert!(by_key >= 24, "get, set and clear, eight times each: {by_key}\n{plans}");
    assert_eq!(plans.matches("using session_expire_hour_idx").count(), 8, "{plans}");
    assert_eq!(plans.matches("Conflict Arbiter Indexes: session_key_idx").count(), 8, "{plans}");
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
    store.on(&mut conn).delete_expired(10).unwrap();
    store.on(&mut conn).clear(&key).unwrap();

    let statements: Vec<String> = SEEN.lock().unwrap().clone();
    assert_eq!(statements.len(), 5, "{statements:?}");
    let mut plain = file.conn();
    for statement in statements.iter().filter(|statement| !statement.starts_with("INSERT")) {
        let steps: Vec<Step> =
            diesel::sql_query(format!("EXPLAIN QUERY PLAN {statement}")).load(&mut plain).unwrap();
        assert!(!steps.is_empty());
        for step in steps {
            assert!(!step.detail.starts_with("SCAN"), "{statement}: {}", step.detail);
        }
    }
}
