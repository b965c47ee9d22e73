//! A hash-partitioned session table, which `docs/scaling/partition.sql` makes out of a migrated one. The laws of every
//! store also hold on it: see `conformance` and `asynchronous`. `statements` tests its plans, and `expired_rows` its
//! sweeps.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use diesel::connection::SimpleConnection as _;
use diesel_session::{
    AsyncDieselSession, Error, Expiry, KeyStorage, MigrationError, Now, SessionTable, Sessions, migrations,
};

use crate::adoption::ORIGINAL;
use crate::migrations::{POSTGRES_VERSIONS, migration_error};
use crate::support::{Database, LATE, PARTITION, Postgres, Sql};
use crate::waiting::runtime;

/// The properties of the table: columns, constraints, indexes, their comments, owner, rights, and the number of rows.
const IDENTITY: &str = "SELECT concat_ws(E'\\n', \
       (SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attgenerated, \
          pg_get_expr(adbin, adrelid), attstorage, col_description(attrelid, attnum)), ', ' ORDER BY attnum) \
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = it.oid AND attnum > 0), \
       (SELECT string_agg(concat_ws(' ', conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')), ', ' \
          ORDER BY conname) FROM pg_constraint WHERE conrelid = it.oid), \
       (SELECT string_agg(concat_ws(' ', replace(pg_get_indexdef(indexrelid), ' ONLY ', ' '), \
          obj_description(indexrelid, 'pg_class')), ', ' ORDER BY indexrelid::regclass::text) \
        FROM pg_index WHERE indrelid = it.oid), \
       obj_description(it.oid, 'pg_class'), relowner::regrole, relnamespace::regnamespace, \
       (SELECT string_agg(acl::text, ', ' ORDER BY acl::text) FROM unnest(coalesce(relacl, acldefault('r', relowner))) AS acl), \
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
fn a_partitioned_table_keeps_the_properties_of_the_original_table() {
    let database = Database::new();
    let mut conn = database.conn();
    let (owner, reader) = (format!("{}_owner", database.name()), format!("{}_reader", database.name()));
    conn.run(ORIGINAL);
    migrations::adopt(&mut conn).unwrap();
    conn.run(&format!(
        "ALTER TABLE session ADD COLUMN \"of the host\" text DEFAULT 'x'; \
         CREATE INDEX \"the host's\" ON session (\"of the host\"); \
         ALTER TABLE session ADD CONSTRAINT \"a check\" CHECK (\"of the host\" <> ''), \
           ALTER COLUMN \"of the host\" SET STORAGE EXTERNAL, \
           SET (autovacuum_vacuum_scale_factor = 0.05, vacuum_index_cleanup = off); \
         COMMENT ON COLUMN session.\"of the host\" IS 'of a column'; \
         COMMENT ON CONSTRAINT \"a check\" ON session IS 'of a check'; \
         COMMENT ON CONSTRAINT session_key_idx ON session IS 'of the key'; \
         COMMENT ON INDEX session_key_idx IS 'of its index'; \
         COMMENT ON INDEX \"the host's\" IS 'of an index'; \
         CREATE ROLE {owner}; CREATE ROLE {reader}; \
         ALTER TABLE session OWNER TO {owner}; GRANT CREATE ON SCHEMA public TO {owner}; \
         GRANT SELECT, DELETE ON session TO {reader} WITH GRANT OPTION; GRANT SELECT ON session TO PUBLIC"
    ));
    let before = conn.text(IDENTITY);
    let parameters = conn.text("SELECT reloptions::text FROM pg_class WHERE oid = 'session'::regclass");
    conn.run(&format!("SET ROLE {owner}"));
    conn.run(PARTITION);
    assert_eq!(conn.text(IDENTITY), before);
    assert!(conn.yes(IS_PARTITIONED));
    let of_partitions = "SELECT string_agg(DISTINCT reloptions::text, ' ') FROM pg_class \
                         WHERE oid IN (SELECT relid FROM pg_partition_tree('session') WHERE isleaf)";
    assert_eq!(conn.text(of_partitions), parameters);
    // The owner of the table can still migrate it.
    conn.run("ALTER TABLE session ADD COLUMN of_a_later_version text");
    conn.run(&format!("RESET ROLE; DROP OWNED BY {owner}, {reader}; DROP ROLE {owner}, {reader}"));
}

/// The rights on the table and on its partitions, with the roles that have them.
const RIGHTS: &str = "SELECT string_agg(DISTINCT concat_ws(' ', CASE WHEN isleaf THEN 'a partition' ELSE 'session' END, \
       rolname, privilege_type), ', ') \
     FROM pg_partition_tree('session') JOIN pg_class ON oid = relid, \
       aclexplode(coalesce(relacl, acldefault('r', relowner))) LEFT JOIN pg_roles ON pg_roles.oid = grantee \
     WHERE privilege_type IN ('SELECT', 'TRUNCATE')";

#[test]
fn a_right_that_was_revoked_does_not_come_back() {
    let database = Database::new();
    let mut conn = database.conn();
    let (owner, reader) = (format!("{}_owner", database.name()), format!("{}_reader", database.name()));
    conn.run(&format!(
        "CREATE ROLE {owner}; CREATE ROLE {reader}; GRANT CREATE ON SCHEMA public TO {owner}; \
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader}, PUBLIC; \
         ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {reader}, PUBLIC"
    ));
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    conn.run(&format!(
        "ALTER TABLE session OWNER TO {owner}; REVOKE ALL ON session FROM {reader}, PUBLIC; \
         REVOKE TRUNCATE ON session FROM {owner}; GRANT TRUNCATE ON session TO {reader}; SET ROLE {owner}"
    ));
    conn.run(PARTITION);
    assert_eq!(
        conn.text(RIGHTS),
        format!("a partition {owner} SELECT, session {owner} SELECT, session {reader} TRUNCATE")
    );
    conn.run(&format!("RESET ROLE; SET ROLE {reader}"));
    for relation in ["session", "session_p0", "session_p15"] {
        let error = conn.batch_execute(&format!("SELECT FROM {relation}")).unwrap_err();
        assert!(error.to_string().contains("permission denied"), "{error}");
    }
    conn.run(&format!(
        "RESET ROLE; ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM {reader}, PUBLIC; \
         DROP OWNED BY {owner}, {reader}; DROP ROLE {owner}, {reader}"
    ));
}

/// A check or a default that the owner has put into the table would run with a superuser's rights. So even a superuser
/// may not partition it.
#[test]
fn nobody_but_the_owner_partitions_a_table() {
    let database = Database::new();
    database.store();
    let mut conn = database.conn();
    let owner = format!("{} \"'s", database.name());
    let quoted = format!("\"{}\"", owner.replace('"', "\"\""));
    conn.run(&format!("CREATE ROLE {quoted}; ALTER TABLE session OWNER TO {quoted}"));
    let refused = conn.batch_execute(PARTITION).unwrap_err().to_string();
    assert!(refused.ends_with(&format!("session belongs to {quoted}")), "{refused}");
    conn.run(&format!("ROLLBACK; GRANT CREATE ON SCHEMA public TO {quoted}; SET ROLE {quoted}"));
    assert!(!conn.yes(IS_PARTITIONED));
    conn.run(PARTITION);
    assert!(conn.yes(IS_PARTITIONED));
    conn.run(&format!("RESET ROLE; DROP OWNED BY {quoted}; DROP ROLE {quoted}"));
}

#[test]
fn a_table_in_a_tablespace_is_partitioned_in_it() {
    let database = Database::new();
    database.store();
    let mut conn = database.conn();
    let space = format!("{} \"'s", database.name());
    let quoted = space.replace('"', "\"\"");
    conn.run("SET allow_in_place_tablespaces = on");
    conn.run(&format!("CREATE TABLESPACE \"{quoted}\" LOCATION ''"));
    conn.run(&format!("ALTER TABLE session SET TABLESPACE \"{quoted}\""));
    let refused = conn.batch_execute(PARTITION).unwrap_err().to_string();
    assert!(refused.ends_with("lost: an index in another tablespace"), "{refused}");
    conn.run(&format!("ROLLBACK; ALTER INDEX session_key_idx SET TABLESPACE \"{quoted}\""));
    for index in ["session_expire_hour_idx", "session_owner_idx"] {
        conn.run(&format!("ALTER INDEX {index} SET TABLESPACE \"{quoted}\""));
    }
    let owner = format!("{}_owner", database.name());
    conn.run(&format!("CREATE ROLE {owner}; ALTER TABLE session OWNER TO {owner}"));
    conn.run(&format!("GRANT CREATE ON SCHEMA public TO {owner}; SET ROLE {owner}"));
    let refused = conn.batch_execute(PARTITION).unwrap_err().to_string();
    assert!(refused.starts_with("permission denied for tablespace"), "{refused}");
    conn.run("ROLLBACK; RESET ROLE");
    conn.run(&format!("GRANT CREATE ON TABLESPACE \"{quoted}\" TO {owner}; SET ROLE {owner}"));
    conn.run(PARTITION);
    conn.run("RESET ROLE");
    let elsewhere = "SELECT count(*) FROM pg_class WHERE relname LIKE 'session%' \
                     AND reltablespace <> (SELECT reltablespace FROM pg_class WHERE oid = 'session'::regclass)";
    assert_eq!(conn.number(elsewhere), 0);
    assert_eq!(
        conn.text("SELECT spcname FROM pg_tablespace JOIN pg_class ON pg_tablespace.oid = reltablespace WHERE pg_class.oid = 'session'::regclass"),
        space
    );
    SessionTable::new().table_owner(&owner).revert(&mut conn).unwrap();
    conn.run(&format!("DROP OWNED BY {owner}; DROP ROLE {owner}"));
    conn.run(&format!("DROP TABLESPACE \"{quoted}\""));
}

#[test]
fn the_search_path_decides_which_table_is_partitioned() {
    let database = Database::new();
    let [shop, forum] =
        ["Shop 1", "forum"].map(|schema| database.store_with(Postgres::builder().schema(schema)));
    let key = shop.generate_for("alice", Some("x"), None).unwrap();
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
fn a_table_that_would_lose_something_is_not_partitioned_and_stays_unchanged() {
    for (hanging, what) in [
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
             CREATE TRIGGER t BEFORE INSERT ON session FOR EACH ROW EXECUTE FUNCTION f()",
            "lost: a trigger",
        ),
        ("CREATE RULE r AS ON UPDATE TO session DO ALSO NOTHING", "lost: a rule"),
        ("CREATE POLICY p ON session", "lost: a policy"),
        ("ALTER TABLE session ENABLE ROW LEVEL SECURITY", "lost: a policy"),
        ("CREATE TABLE visit (session_key char(40) REFERENCES session)", "lost: a trigger"),
        (
            "CREATE TABLE theme (name text PRIMARY KEY); \
             ALTER TABLE session ADD COLUMN theme text REFERENCES theme",
            "a foreign key",
        ),
        ("CREATE TABLE heir () INHERITS (session)", "lost: an heir"),
        ("CREATE PUBLICATION p FOR TABLE session", "lost: a publication"),
        ("CREATE PUBLICATION p FOR ALL TABLES", "lost: a publication"),
        (
            "DO $$ BEGIN IF current_setting('server_version_num')::integer >= 150000 THEN \
             EXECUTE 'CREATE PUBLICATION p FOR TABLES IN SCHEMA public'; ELSE CREATE PUBLICATION p FOR ALL TABLES; \
             END IF; END $$",
            "lost: a publication",
        ),
        (
            "INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) VALUES (0, 'session'::regclass, 'r')",
            "lost: a subscription",
        ),
        ("ALTER TABLE session REPLICA IDENTITY FULL", "lost: a replica identity"),
        ("GRANT UPDATE (owner) ON session TO pg_monitor", "lost: a grant on a column"),
        (
            "GRANT SELECT ON session TO pg_monitor WITH GRANT OPTION; SET ROLE pg_monitor; \
             GRANT SELECT ON session TO pg_read_all_settings; RESET ROLE",
            "lost: a grant by another than the owner",
        ),
        (
            "ALTER TABLE session ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY",
            "lost: an identity column",
        ),
        ("ALTER TABLE session ADD COLUMN number bigserial", "lost: a sequence"),
        ("CREATE SEQUENCE s OWNED BY session.owner", "lost: a sequence"),
        (
            "ALTER TABLE session ALTER COLUMN owner SET (n_distinct = 7)",
            "lost: options or a statistics target of a column",
        ),
        (
            "ALTER TABLE session ALTER COLUMN owner SET STATISTICS 7",
            "lost: options or a statistics target of a column",
        ),
        (
            "CREATE INDEX long ON session (length(session_data)); ALTER INDEX long ALTER COLUMN 1 SET STATISTICS 7",
            "lost: options or a statistics target of a column",
        ),
        ("CREATE STATISTICS s ON owner, expire_date FROM session", "lost: extended statistics"),
        ("ALTER TABLE session SET UNLOGGED", "lost: no WAL (UNLOGGED)"),
        ("ALTER TABLE session SET (toast.autovacuum_enabled = off)", "lost: parameters of its TOAST table"),
        ("ALTER TABLE session CLUSTER ON session_key_idx", "lost: an index to CLUSTER by"),
        ("ALTER INDEX session_key_idx SET (fillfactor = 70)", "lost: parameters of a constraint's index"),
        (
            "ALTER TABLE session SET (toast.autovacuum_enabled = off); ALTER TABLE session SET UNLOGGED",
            "lost: no WAL (UNLOGGED), parameters of its TOAST table",
        ),
        ("CREATE VIEW mine AS SELECT FROM session", "other objects depend"),
        ("CREATE UNIQUE INDEX one_each ON session (owner)", "unique constraint on partitioned table"),
        (
            "DROP TABLE session; CREATE TABLE session (session_key char(40))",
            "no table that diesel-session has migrated",
        ),
    ] {
        let database = Database::new();
        database.store();
        let mut conn = database.conn();
        conn.run(hanging);
        let before = conn.text(IDENTITY);
        let error = conn.batch_execute(PARTITION).expect_err(hanging).to_string();
        assert!(error.contains(what), "{hanging}: {error}");
        conn.run("ROLLBACK");
        assert_eq!(conn.text(IDENTITY), before, "{hanging}");
        assert!(!conn.yes(IS_PARTITIONED), "{hanging}");
    }
    // Until the next VACUUM, the catalogue says that the table still has rules.
    let database = Database::new();
    database.store();
    let mut conn = database.conn();
    conn.run("CREATE RULE r AS ON UPDATE TO session DO ALSO NOTHING; DROP RULE r ON session");
    assert!(conn.yes("SELECT relhasrules FROM pg_class WHERE oid = 'session'::regclass"));
    conn.run(PARTITION);
    let database = Database::partitioned();
    let mut conn = database.conn();
    let again = conn.batch_execute(PARTITION).unwrap_err();
    assert!(again.to_string().contains("partitioned already"), "{again}");
}

#[test]
fn partitioning_does_not_wait_for_ever_for_a_lock() {
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

/// The writers' statements were prepared before. They wait while the table is replaced.
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
        let mut key = store.generate_for(&owner, Some("0"), None).unwrap();
        let mut round = 0_usize;
        while !done.load(Ordering::Relaxed) {
            round += 1;
            store.set(&key, &round.to_string(), None).unwrap();
            assert_eq!(store.get(&key).unwrap().0, round.to_string());
            round += 1;
            let is = store
                .update(&key, Expiry::Default, |was| {
                    assert_eq!(was.as_deref(), Some((round - 1).to_string().as_str()));
                    Ok::<_, Error>(round.to_string())
                })
                .unwrap();
            let new = store.rotate(&key).unwrap();
            let old = std::mem::replace(&mut key, new);
            assert!(matches!(store.get(&old), Err(Error::NotFound)));
            assert_eq!(store.get(&key).unwrap().0, is);
            assert_eq!(store.sessions_of(&owner, 100).unwrap().len(), 1);
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
            // Waits until each statement is prepared on each connection, with its final plan.
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
    let keys: Vec<_> = (0..50).map(|_| plain.generate(Some("x"), None).unwrap()).collect();
    conn.run(PARTITION);
    // A hashed key lies in another partition than a plain one.
    assert_eq!(migrations::adopt(&mut conn).unwrap(), keys.len());
    let hashed = database.store();
    for key in &keys {
        assert_eq!(hashed.get(key).unwrap().0, "x");
    }
    for _ in 0..POSTGRES_VERSIONS {
        migrations::revert(&mut conn).unwrap();
    }
    assert_eq!(conn.number("SELECT count(*) FROM pg_class WHERE relname LIKE 'session%'"), 0);
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), POSTGRES_VERSIONS);
}

#[test]
fn a_partitioned_table_of_the_original_is_refused_and_left_as_it_is() {
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
