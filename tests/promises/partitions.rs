//! A hash-partitioned session table, made by `docs/scaling/partition.sql` out of a migrated one. The laws of every store
//! hold on it too: see `conformance` and `asynchronous`; its plans: see `statements`; its sweeps: see `expired_rows`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use diesel::connection::SimpleConnection as _;
use diesel_session::{AsyncDieselSession, Error, KeyStorage, MigrationError, Now, Sessions, migrations};

use crate::adoption::ORIGINAL;
use crate::migrations::{POSTGRES_VERSIONS, migration_error};
use crate::support::{Database, LATE, PARTITION, Postgres, Sql};
use crate::waiting::runtime;

/// Everything by which the table is known: columns, constraints, indexes, comment, owner, rights, and how many rows.
const IDENTITY: &str = "SELECT concat_ws(E'\\n', \
       (SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attgenerated, \
          pg_get_expr(adbin, adrelid)), ', ' ORDER BY attnum) \
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = it.oid AND attnum > 0), \
       (SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ', ' ORDER BY conname) FROM pg_constraint WHERE conrelid = it.oid), \
       (SELECT string_agg(replace(pg_get_indexdef(indexrelid), ' ONLY ', ' '), ', ' ORDER BY indexrelid::regclass::text) \
        FROM pg_index WHERE indrelid = it.oid), \
       obj_description(it.oid), relowner::regrole, relnamespace::regnamespace, \
       (SELECT string_agg(acl::text, ', ' ORDER BY acl::text) FROM unnest(relacl) AS acl), \
       (SELECT count(*) FROM session)) \
     FROM pg_class AS it WHERE it.oid = 'session'::regclass";

const IS_PARTITIONED: &str = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'session'::regclass";

#[test]
fn a_partitioned_table_is_up_to_date() {
    let database = Database::partitioned();
    let mut conn = database.conn();
    assert!(conn.yes(IS_PARTITIONED));
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 0);
    migrations::check(&mut conn, KeyStorage::Hashed).unwrap();
    runtime().block_on(async {
        let sessions = AsyncDieselSession::connect(&database.url).await.unwrap();
        assert_eq!(sessions.migrate().await.unwrap(), 0);
        sessions.check().await.unwrap();
    });
}

#[test]
fn what_belongs_to_the_table_belongs_to_the_partitioned_one() {
    let database = Database::new();
    let mut conn = database.conn();
    let (owner, reader) = (format!("{}_owner", database.name()), format!("{}_reader", database.name()));
    conn.run(ORIGINAL);
    migrations::adopt(&mut conn).unwrap();
    conn.run(&format!(
        "ALTER TABLE session ADD COLUMN \"of the host\" text DEFAULT 'x'; \
         CREATE INDEX \"the host's\" ON session (\"of the host\"); \
         CREATE ROLE {owner}; CREATE ROLE {reader}; \
         ALTER TABLE session OWNER TO {owner}; \
         GRANT SELECT, DELETE ON session TO {reader} WITH GRANT OPTION; GRANT SELECT ON session TO PUBLIC"
    ));
    let before = conn.text(IDENTITY);
    conn.run(PARTITION);
    assert_eq!(conn.text(IDENTITY), before);
    assert!(conn.yes(IS_PARTITIONED));
    // Whoever owns the table can go on migrating it.
    conn.run(&format!("GRANT CREATE ON SCHEMA public TO {owner}; SET ROLE {owner}"));
    conn.run("ALTER TABLE session ADD COLUMN of_a_later_version text");
    conn.run(&format!("RESET ROLE; DROP OWNED BY {owner}, {reader}; DROP ROLE {owner}, {reader}"));
}

#[test]
fn a_table_in_a_schema_of_its_own_is_partitioned_by_the_search_path() {
    let database = Database::new();
    let [shop, forum] =
        ["Shop 1", "forum"].map(|schema| database.store_with(Postgres::builder().schema(schema)));
    let key = shop.generate_for("alice", Some("x".to_owned()), None).unwrap();
    let mut conn = database.conn();
    conn.run("SET search_path = \"Shop 1\"");
    let before = conn.text(IDENTITY);
    conn.run(PARTITION);
    assert_eq!(conn.text(IDENTITY), before);
    assert_eq!(shop.get(&key).unwrap().0, "x");
    assert_eq!(shop.migrate().unwrap(), 0);
    assert!(!conn.yes("SELECT relkind = 'p' FROM pg_class WHERE oid = 'forum.session'::regclass"));
    assert_eq!(forum.count().unwrap().live, 0);
}

#[test]
fn what_would_be_lost_is_refused_and_nothing_changed() {
    for hanging in [
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         CREATE TRIGGER t BEFORE INSERT ON session FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE RULE r AS ON UPDATE TO session DO ALSO NOTHING",
        "CREATE POLICY p ON session",
        "ALTER TABLE session ENABLE ROW LEVEL SECURITY",
        "CREATE TABLE visit (session_key char(40) REFERENCES session)",
        "CREATE TABLE heir () INHERITS (session)",
        "CREATE PUBLICATION p FOR TABLE session",
        "ALTER TABLE session REPLICA IDENTITY FULL",
        "GRANT UPDATE (owner) ON session TO pg_monitor",
        "CREATE VIEW mine AS SELECT FROM session",
        "CREATE UNIQUE INDEX one_each ON session (owner)",
        "DROP TABLE session; CREATE TABLE session (session_key char(40))",
    ] {
        let database = Database::new();
        database.store();
        let mut conn = database.conn();
        conn.run(hanging);
        let before = conn.text(IDENTITY);
        conn.batch_execute(PARTITION).expect_err(hanging);
        conn.run("ROLLBACK");
        assert_eq!(conn.text(IDENTITY), before, "{hanging}");
        assert!(!conn.yes(IS_PARTITIONED), "{hanging}");
    }
    let database = Database::partitioned();
    let mut conn = database.conn();
    let again = conn.batch_execute(PARTITION).unwrap_err();
    assert!(again.to_string().contains("partitioned already"), "{again}");
}

#[test]
fn who_holds_the_table_is_not_waited_for_without_end() {
    let database = Database::new();
    let store = database.store();
    let mut holder = database.conn();
    holder.run("BEGIN; SELECT FROM session");
    let mut conn = database.conn();
    let started = Instant::now();
    let error = conn.batch_execute(PARTITION).unwrap_err();
    assert!(error.to_string().contains("lock timeout") && started.elapsed() < LATE, "{error}");
    conn.run("ROLLBACK");
    holder.run("ROLLBACK");
    store.generate(None, None).unwrap();
    conn.run(PARTITION);
    assert_eq!(store.count().unwrap().live, 1);
}

/// Statements that were prepared before, and that wait while the table is replaced.
#[test]
fn a_table_can_be_partitioned_while_writers_write() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().pool_size(8));
    let mut conn = database.conn();
    conn.run(
        "INSERT INTO session (session_key, expire_date, session_data) \
         SELECT '$' || md5(n::text) || '0000000', now() + interval '1 hour', repeat('x', 200) \
         FROM generate_series(1, 20000) AS n",
    );
    let rounds: [AtomicUsize; 8] = Default::default();
    let done = AtomicBool::new(false);
    let work = |number: usize| {
        let owner = number.to_string();
        let mut key = store.generate_for(&owner, Some("0".to_owned()), None).unwrap();
        let mut round = 0_usize;
        while !done.load(Ordering::Relaxed) {
            round += 1;
            store.set(&key, round.to_string(), None).unwrap();
            assert_eq!(store.get(&key).unwrap().0, round.to_string());
            round += 1;
            let is = store
                .update(&key, None, |was| {
                    assert_eq!(was.as_deref(), Some((round - 1).to_string().as_str()));
                    Ok::<_, Error>(round.to_string())
                })
                .unwrap();
            let new = store.rotate(&key).unwrap();
            let old = std::mem::replace(&mut key, new);
            assert!(matches!(store.get(&old), Err(Error::NotFound)));
            assert_eq!(store.get(&key).unwrap().0, is);
            assert_eq!(store.sessions_of(&owner).unwrap().len(), 1);
            let gone = store.generate(None, None).unwrap();
            store.clear(&gone).unwrap();
            rounds[number].fetch_add(1, Ordering::Relaxed);
        }
    };
    let everybody_has_done = |more: usize| {
        let goals = rounds.each_ref().map(|round| round.load(Ordering::Relaxed) + more);
        let started = Instant::now();
        while rounds.iter().zip(goals).any(|(round, goal)| round.load(Ordering::Relaxed) < goal) {
            assert!(started.elapsed() < LATE, "somebody does not go on: {rounds:?}");
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..rounds.len()).map(|number| scope.spawn(move || work(number))).collect();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // Each statement is prepared on each connection, and planned for good.
            everybody_has_done(20);
            conn.run(PARTITION);
            everybody_has_done(20);
        }));
        done.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().unwrap();
        }
        result.unwrap();
    });
    assert!(conn.yes(IS_PARTITIONED));
    assert_eq!(store.count().unwrap().live, 20_000 + 8);
}

#[test]
fn a_partitioned_table_can_be_adopted_and_dropped() {
    let database = Database::new();
    let plain = database.store_with(Postgres::builder().key_storage(KeyStorage::Plain));
    let mut conn = database.conn();
    let keys: Vec<_> = (0..50).map(|_| plain.generate(Some("x".to_owned()), None).unwrap()).collect();
    conn.run(PARTITION);
    // A hashed key lies in another partition than a plain one.
    assert_eq!(migrations::adopt(&mut conn).unwrap(), keys.len());
    let hashed = database.store();
    for key in &keys {
        assert_eq!(hashed.get(key).unwrap().0, "x");
    }
    migrations::revert(&mut conn).unwrap();
    assert_eq!(conn.number("SELECT count(*) FROM pg_class WHERE relname LIKE 'session%'"), 0);
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), POSTGRES_VERSIONS);
}

#[test]
fn a_table_of_the_original_that_is_partitioned_is_told_and_left_as_it_is() {
    let database = Database::new();
    let mut conn = database.conn();
    conn.run(
        "CREATE TABLE session (session_key char(40), expire_date timestamp(2) with time zone, session_data text) \
         PARTITION BY HASH (session_key)",
    );
    let before = conn.text(IDENTITY);
    for storage in [KeyStorage::Hashed, KeyStorage::Plain] {
        let error = migration_error(migrations::migrate(&mut conn, storage));
        assert!(matches!(error, MigrationError::NotOurs { .. }), "{error:?}");
        assert!(error.to_string().contains("partitioned"), "{error}");
    }
    assert_eq!(conn.text(IDENTITY), before);
}
