//! `doctor`, on databases that are broken on purpose. No test has a Citus cluster: one imitates its functions.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel::{PgConnection, SqliteConnection};
use diesel_session::{Now as _, Sessions as _, TimeDelta};
use serde_json::Value;
use throwaway_postgres::{PgBouncer, Server, with_database};

use crate::support::{Database, Postgres, Sqlite, command, on_each_database, text};

/// The settings of a careful operator. The tests' servers usually do without, because they are quicker then.
const CAREFUL: [&str; 4] =
    ["fsync=on", "full_page_writes=on", "synchronous_commit=on", "idle_in_transaction_session_timeout=60000"];

/// Runs the doctor. Returns its exit status and what it found.
pub(crate) fn diagnosis(mut doctor: Command) -> (i32, Vec<Value>) {
    let output = doctor.output().unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
    let findings = report["findings"].as_array().unwrap();
    for finding in findings {
        for field in ["name", "reason", "mend"] {
            assert!(!finding[field].as_str().unwrap().is_empty(), "{finding}");
        }
    }
    (output.status.code().unwrap(), findings.clone())
}

pub(crate) fn doctor(url: &str) -> Command {
    let mut doctor = command(&["doctor", "--json"]);
    doctor.env("DATABASE_URL", url);
    doctor
}

/// Checks that the doctor finds this, and returns the reasons and the advice.
pub(crate) fn finds(doctor: Command, level: &str, name: &str) -> String {
    let (status, findings) = diagnosis(doctor);
    let of_name: Vec<&Value> = findings.iter().filter(|finding| finding["name"] == name).collect();
    assert!(!of_name.is_empty(), "{name} is not found: {findings:?}");
    assert!(of_name.iter().all(|finding| finding["level"] == level), "{findings:?}");
    let worst = if findings.iter().any(|finding| finding["level"] == "fault") { 2 } else { 1 };
    assert_eq!(status, worst, "{findings:?}");
    let told = |finding: &Value| {
        format!("{} {}\n", finding["reason"].as_str().unwrap(), finding["mend"].as_str().unwrap())
    };
    of_name.into_iter().map(told).collect()
}

pub(crate) fn migrate(url: &str) {
    let output = command(&["migrate"]).env("DATABASE_URL", url).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A healthy database on PostgreSQL, with further settings of its server.
struct Healthy(Server);

impl Healthy {
    fn new(settings: &[&str]) -> Self {
        let server = Server::start(&[&CAREFUL[..], settings].concat()).unwrap();
        let healthy = Self(server);
        migrate(&healthy.url());
        healthy
    }

    fn url(&self) -> String {
        self.0.url("postgres")
    }

    fn conn(&self) -> PgConnection {
        PgConnection::establish(&self.url()).unwrap()
    }

    fn run(&self, sql: &str) {
        self.conn().batch_execute(sql).unwrap();
    }

    fn finds(&self, level: &str, name: &str) -> String {
        finds(doctor(&self.url()), level, name)
    }
}

#[test]
fn a_healthy_database_on_postgres_has_no_findings() {
    let healthy = Healthy::new(&[]);
    assert_eq!(diagnosis(doctor(&healthy.url())), (0, Vec::new()));
    let mut told = command(&["doctor"]);
    let told = told.env("DATABASE_URL", healthy.url()).output().unwrap();
    assert_eq!(text(told.stdout), "20 checks, 0 findings\n");
}

#[test]
fn a_healthy_database_on_sqlite_has_no_findings() {
    let database = Sqlite::new();
    database.run(&["migrate"]);
    fs::set_permissions(database.path(), Permissions::from_mode(0o640)).unwrap();
    assert_eq!(diagnosis(doctor(&database.url())), (0, Vec::new()));
}

on_each_database! {
    a_missing_table_is_found
    expired_rows_that_nobody_deletes_are_found
    a_missing_index_is_found
}

fn a_missing_table_is_found<D: Database>(database: &D) {
    database.run_sql("CREATE TABLE other (id INTEGER)");
    let told = finds(doctor(&database.url()), "fault", "table");
    assert!(told.contains("diesel-session migrate"), "{told}");
    let (_, findings) = diagnosis(doctor(&database.url()));
    assert!(findings.iter().all(|finding| finding["name"] != "expired_rows"), "{findings:?}");
}

fn expired_rows_that_nobody_deletes_are_found<D: Database>(database: &D) {
    let store = database.migrated();
    store.generate(None, Some(TimeDelta::hours(-5))).unwrap();
    let told = finds(doctor(&database.url()), "warning", "expired_rows");
    assert!(told.contains("have waited since 20") && told.contains("diesel-session sweep"), "{told}");
    database.run(&["sweep"]);
    let (_, findings) = diagnosis(doctor(&database.url()));
    assert!(findings.iter().all(|finding| finding["name"] != "expired_rows"), "{findings:?}");
}

/// The advice mends it.
fn a_missing_index_is_found<D: Database>(database: &D) {
    database.migrated();
    for index in ["session_expire_hour_idx", "session_owner_idx"] {
        database.drop_index(index);
        let (_, findings) = diagnosis(doctor(&database.url()));
        let found = findings.iter().find(|finding| finding["name"] == "indexes").unwrap();
        assert_eq!(found["level"], "fault");
        database.run_sql(found["mend"].as_str().unwrap());
        let (_, findings) = diagnosis(doctor(&database.url()));
        assert!(findings.iter().all(|finding| finding["name"] != "indexes"), "{findings:?}");
    }
}

/// Roles that are no superusers see less of the server.
#[test]
fn a_healthy_database_has_no_findings_for_a_programs_role() {
    let healthy = Healthy::new(&[]);
    let _standby = healthy.0.standby(&CAREFUL).unwrap();
    healthy.run("CREATE ROLE app LOGIN; GRANT ALL ON session, __diesel_session_migrations TO app");
    let mut conn = healthy.conn();
    for sql in ["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"] {
        conn.batch_execute(sql).unwrap();
    }
    let url = healthy.url().replace("postgres@", "app@");
    assert_eq!(diagnosis(doctor(&url)), (0, Vec::new()));
}

#[test]
fn a_server_that_is_down_is_a_fault() {
    let mut healthy = Healthy::new(&[]);
    let url = healthy.url();
    healthy.0.stop().unwrap();
    assert!(finds(doctor(&url), "fault", "connection").contains("start the server"));
}

/// The advice names the table of that schema.
#[test]
fn a_named_schema_is_looked_at() {
    let healthy = Healthy::new(&[]);
    let in_shop = |arguments: &[&str]| {
        let mut command = command(&[arguments, &["--schema", "shop"]].concat());
        command.env("DATABASE_URL", healthy.url());
        command
    };
    assert!(in_shop(&["migrate"]).output().unwrap().status.success());
    healthy.run("DROP INDEX shop.session_owner_idx");
    let told = finds(in_shop(&["doctor", "--json"]), "fault", "indexes");
    assert!(told.contains("ON shop.session (owner, created_on)"), "{told}");
    assert_eq!(diagnosis(doctor(&healthy.url())).0, 0);
}

#[test]
fn another_table_on_the_search_path_is_found() {
    let healthy = Healthy::new(&[]);
    healthy.run(
        "CREATE SCHEMA other; CREATE TABLE other.session (id int); \
         ALTER DATABASE postgres SET search_path = public, other",
    );
    assert!(healthy.finds("warning", "shadowing").contains("schema other"));
}

#[test]
fn rights_of_everybody_and_of_visitors_roles_are_found() {
    let healthy = Healthy::new(&[]);
    healthy
        .run("CREATE ROLE anon; GRANT SELECT, UPDATE (owner) ON session TO anon; GRANT SELECT ON session TO PUBLIC");
    let told = healthy.finds("fault", "grants");
    for mend in ["REVOKE ALL ON public.session FROM anon", "REVOKE ALL ON public.session FROM PUBLIC"] {
        assert!(told.contains(mend), "{told}");
        healthy.run(mend);
    }
    assert_eq!(diagnosis(doctor(&healthy.url())).0, 0);
}

#[test]
fn row_security_that_applies_is_found() {
    let healthy = Healthy::new(&[]);
    healthy.run(
        "CREATE ROLE guest LOGIN; GRANT ALL ON session, __diesel_session_migrations TO guest; \
         ALTER TABLE session ENABLE ROW LEVEL SECURITY",
    );
    let url = healthy.url().replace("postgres@", "guest@");
    let told = finds(doctor(&url), "fault", "row_security");
    let mend = told.split_once(" CREATE POLICY").map(|(_, mend)| format!("CREATE POLICY{mend}")).unwrap();
    healthy.run(&mend);
    assert_eq!(diagnosis(doctor(&url)), (0, Vec::new()), "{mend}");
}

#[test]
fn an_encoding_that_checks_nothing_is_found() {
    let healthy = Healthy::new(&[]);
    healthy.run("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    let url = with_database(&healthy.url(), "ascii").unwrap();
    migrate(&url);
    assert!(finds(doctor(&url), "warning", "encoding").contains("UTF8"));
}

#[test]
fn an_old_version_of_the_collation_is_found() {
    let healthy = Healthy::new(&[]);
    healthy.run(
        "CREATE DATABASE icu ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en' \
         LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    );
    let url = with_database(&healthy.url(), "icu").unwrap();
    migrate(&url);
    healthy.run("UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'icu'");
    assert!(finds(doctor(&url), "warning", "collation").contains("REFRESH COLLATION VERSION"));
}

#[test]
fn an_invalid_index_is_found() {
    let healthy = Healthy::new(&[]);
    healthy.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'session_owner_idx'::regclass");
    assert!(
        healthy.finds("fault", "indexes").contains("REINDEX INDEX CONCURRENTLY public.session_owner_idx")
    );
}

#[test]
fn an_unlogged_table_is_found() {
    let healthy = Healthy::new(&[]);
    healthy.run("ALTER TABLE session SET UNLOGGED");
    assert!(healthy.finds("fault", "unlogged").contains("ALTER TABLE public.session SET LOGGED"));
}

/// Rows, with an index that every write changes.
const INSERT: &str = "INSERT INTO session (session_key, expire_date) \
     SELECT '$' || md5(n::text) || '0000000', statement_timestamp() + interval '1 day' FROM generate_series(1, 20000) AS n";

#[test]
fn updates_that_are_not_hot_are_found() {
    let healthy = Healthy::new(&[]);
    let mut conn = healthy.conn();
    for sql in [
        "CREATE INDEX ON session (expire_date)",
        INSERT,
        "UPDATE session SET expire_date = expire_date + interval '1 second'",
        "SELECT pg_stat_force_next_flush()",
    ] {
        conn.batch_execute(sql).unwrap();
    }
    let told = healthy.finds("warning", "hot_updates");
    assert!(told.contains("DROP INDEX public.session_expire_date_idx"), "{told}");
}

#[test]
fn dead_rows_are_found() {
    let healthy = Healthy::new(&["autovacuum=off"]);
    let mut conn = healthy.conn();
    for sql in [INSERT, "DELETE FROM session", "SELECT pg_stat_force_next_flush()"] {
        conn.batch_execute(sql).unwrap();
    }
    let told = healthy.finds("warning", "dead_rows");
    assert!(told.contains("20000 dead rows") && told.contains("VACUUM public.session"), "{told}");
    assert!(healthy.finds("warning", "autovacuum").contains("on the server"));
}

#[test]
fn a_table_without_autovacuum_is_found() {
    let healthy = Healthy::new(&[]);
    healthy.run("ALTER TABLE session SET (autovacuum_enabled = false)");
    assert!(healthy.finds("warning", "autovacuum").contains("RESET (autovacuum_enabled)"));
}

#[test]
fn a_server_with_few_connections_left_is_found() {
    let healthy = Healthy::new(&["max_connections=10"]);
    let _others: Vec<PgConnection> = (0..7).map(|_| healthy.conn()).collect();
    assert!(healthy.finds("warning", "connections").contains("of 7 connections are used"));
}

#[test]
fn a_server_that_does_not_wait_for_its_disk_is_found() {
    for (setting, level, name) in [
        ("fsync=off", "fault", "fsync"),
        ("full_page_writes=off", "warning", "full_page_writes"),
        ("synchronous_commit=off", "warning", "synchronous_commit"),
    ] {
        Healthy::new(&[setting]).finds(level, name);
    }
}

#[test]
fn a_lost_synchronous_standby_is_found() {
    let healthy = Healthy::new(&[]);
    let mut conn = healthy.conn();
    for sql in ["ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()"] {
        conn.batch_execute(sql).unwrap();
    }
    assert!(healthy.finds("fault", "standby").contains("synchronous_standby_names"));
}

#[test]
fn a_missing_timeout_is_found() {
    let healthy = Healthy::new(&["idle_in_transaction_session_timeout=0"]);
    assert!(healthy.finds("warning", "timeouts").contains("idle_in_transaction_session_timeout"));
}

/// PgBouncer has few connections or many, and lends the last one used or the first.
#[test]
fn a_pooler_in_transaction_mode_is_found() {
    let healthy = Healthy::new(&[]);
    for (size, round_robin) in [(1, 0), (2, 1), (20, 0), (20, 1)] {
        let size = format!("default_pool_size = {size}");
        let order = format!("server_round_robin = {round_robin}");
        let bouncer = PgBouncer::start(&healthy.0, &["pool_mode = transaction", &size, &order]).unwrap();
        let told = finds(doctor(&bouncer.url("postgres")), "warning", "pooler");
        assert!(told.contains("Builder::pgbouncer(true)") && told.contains("--pgbouncer"), "{told}");
        assert_left_nothing(&bouncer);
    }
    let bouncer = PgBouncer::start(&healthy.0, &["pool_mode = session"]).unwrap();
    assert_eq!(diagnosis(doctor(&bouncer.url("postgres"))), (0, Vec::new()));
}

/// The operator knows of the pooler.
#[test]
fn with_pgbouncer_the_command_leaves_nothing_on_the_poolers_connections() {
    let healthy = Healthy::new(&[]);
    let settings = ["pool_mode = transaction", "default_pool_size = 1"];
    let bouncer = PgBouncer::start(&healthy.0, &settings).unwrap();
    let url = bouncer.url("postgres");
    for arguments in
        [&["doctor"][..], &["check"], &["stats"], &["list"], &["sweep"], &["end", "--all", "--yes"]]
    {
        let mut through = command(&[arguments, &["--pgbouncer"]].concat());
        let output = through.env("DATABASE_URL", &url).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    assert_left_nothing(&bouncer);
}

/// Looks at several of the pooler's connections.
fn assert_left_nothing(bouncer: &PgBouncer) {
    let mut conn = PgConnection::establish(&bouncer.url("postgres")).unwrap();
    for _ in 0..5 {
        conn.batch_execute(
            "DO $$ BEGIN \
             ASSERT current_setting('statement_timeout') = '0', current_setting('statement_timeout'); \
             ASSERT NOT EXISTS (SELECT FROM pg_prepared_statements), 'a prepared statement'; END $$",
        )
        .unwrap();
    }
}

#[test]
fn a_server_that_takes_no_writes_is_found() {
    let healthy = Healthy::new(&[]);
    let standby = healthy.0.standby(&CAREFUL).unwrap();
    let told = finds(doctor(&standby.url("postgres")), "fault", "read_only");
    assert!(told.contains("target_session_attrs"), "{told}");
    healthy.run("ALTER DATABASE postgres SET default_transaction_read_only = on");
    assert!(healthy.finds("fault", "read_only").contains("default_transaction_read_only"));
}

#[test]
fn a_clock_that_differs_is_found() {
    let healthy = Healthy::new(&[]);
    let mut late = Command::new("faketime");
    late.args(["-f", "+1h", env!("CARGO_BIN_EXE_diesel-session"), "doctor", "--json"]);
    late.env("DATABASE_URL", healthy.url());
    assert!(finds(late, "warning", "clock").contains("NTP"));
}

/// Not Citus, but a function with the name and the columns of one of its functions.
#[test]
fn a_worker_whose_clock_differs_is_found() {
    let healthy = Healthy::new(&["allow_system_table_mods=on"]);
    healthy.run(
        "CREATE FUNCTION pg_catalog.run_command_on_workers(command text) \
         RETURNS TABLE (nodename text, nodeport int, success bool, result text) LANGUAGE sql AS $$ \
         SELECT 'right', 5432, true, date_part('epoch', clock_timestamp())::text \
         UNION ALL SELECT 'late', 5432, true, (date_part('epoch', clock_timestamp()) - 60)::text \
         UNION ALL SELECT 'gone', 5432, false, 'connection refused' FROM pg_sleep(3) $$; \
         INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) \
         VALUES (99999, 'citus', 10, 11, false, '12')",
    );
    let told = healthy.finds("warning", "worker_clocks");
    assert!(told.contains("worker late:5432 differs from that of the coordinator by -6"), "{told}");
    assert!(told.contains("worker gone:5432 could not be read") && !told.contains("right"), "{told}");
}

#[test]
fn another_journal_mode_is_found_and_not_changed() {
    let database = Sqlite::new();
    database.run(&["migrate"]);
    database.run_sql("PRAGMA journal_mode = DELETE");
    for _ in 0..2 {
        assert!(
            finds(doctor(&database.url()), "warning", "journal_mode").contains("PRAGMA journal_mode = WAL")
        );
    }
}

#[test]
fn a_damaged_file_is_found() {
    let database = Sqlite::new();
    let store = database.migrated();
    for _ in 0..2_000 {
        store.generate_for("alice", Some("x"), None).unwrap();
    }
    drop(store);
    database.run_sql("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE");
    let mut bytes = fs::read(database.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4_096].fill(7);
    fs::write(database.path(), bytes).unwrap();
    assert!(finds(doctor(&database.url()), "fault", "integrity").contains("restore a backup"));
}

#[test]
fn a_file_that_others_may_open_is_found() {
    let database = Sqlite::new();
    database.migrated();
    let directory = database.path().parent().unwrap().to_owned();
    fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    for (mode, level) in [(0o644, "warning"), (0o666, "fault")] {
        fs::set_permissions(database.path(), Permissions::from_mode(mode)).unwrap();
        assert!(finds(doctor(&database.url()), level, "permissions").contains("chmod o= "));
    }
}

#[test]
fn a_large_log_is_found() {
    let database = Sqlite::new();
    database.migrated();
    let mut reader = SqliteConnection::establish(&database.url()).unwrap();
    reader.batch_execute("PRAGMA journal_mode = WAL; BEGIN; SELECT count(*) FROM session").unwrap();
    // A sparse file is as good as a full one.
    let log = File::options().append(true).open(format!("{}-wal", database.url())).unwrap();
    log.set_len(65 << 20).unwrap();
    assert!(finds(doctor(&database.url()), "warning", "wal_size").contains("wal_checkpoint(TRUNCATE)"));
}

/// Both formats say the same.
#[test]
fn findings_are_told_with_their_advice() {
    let database = Postgres::new();
    database.migrated();
    let output = database.command(&["doctor"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = text(output.stdout);
    assert!(
        told.starts_with("FAULT fsync: fsync is off") && told.contains("\n  ALTER SYSTEM SET fsync = on"),
        "{told}"
    );
    assert!(told.contains("\nwarning synchronous_commit: ") && told.ends_with(" findings\n"), "{told}");
}
