//! `import`. The real tower-sessions-sqlx-store made the sessions.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use diesel::PgConnection;
use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel_session::{Blocking, Now as _, Sessions as _, TowerSessionStore};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::runtime::{Builder, Runtime};
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_sqlx_store::sqlx::{PgPool, SqlitePool};
use tower_sessions_sqlx_store::{PostgresStore, SqliteStore};

mod shop;

use crate::support::{
    Database, Postgres, Sqlite, counts, failure, on_each_database, text, wait_for_a_waiter,
};
use shop::{is_signed_in, sign_in, sign_out};

on_each_database! {
    except mysql:
    a_thousand_visitors_stay_signed_in
    a_visitor_who_signs_out_between_two_imports_stays_out
    what_is_skipped_is_counted_with_its_reason
    a_record_that_the_database_refuses_stops_no_other
    a_record_whose_column_has_expired_is_not_imported
    the_wrong_form_of_keys_is_refused_before_anything_is_written
    a_missing_table_is_an_error_that_says_where_to_look
    a_missing_session_table_is_named
    another_table_of_another_database_can_be_the_source
}

const IMPORT: [&str; 3] = ["import", "--from", "tower-sessions-sqlx"];

/// A database with a table of tower-sessions-sqlx-store.
trait Old: Database {
    type Store: SessionStore + Clone;

    /// The usual table.
    const TABLE: &str;
    /// Bytes that are no record.
    const GARBAGE: &str;

    /// Makes a table that is not at its usual place, if it has a `name`.
    async fn old_store(&self, name: Option<&str>) -> Self::Store;
}

impl Old for Postgres {
    type Store = PostgresStore;

    const TABLE: &str = "tower_sessions.session";
    const GARBAGE: &str = "'\\x00'::bytea";

    async fn old_store(&self, name: Option<&str>) -> PostgresStore {
        let mut store = PostgresStore::new(PgPool::connect(&self.url()).await.unwrap());
        if let Some(name) = name {
            store = store.with_schema_name(name).unwrap().with_table_name(name).unwrap();
        }
        store.migrate().await.unwrap();
        store
    }
}

impl Old for Sqlite {
    type Store = SqliteStore;

    const TABLE: &str = "tower_sessions";
    const GARBAGE: &str = "x'00'";

    async fn old_store(&self, name: Option<&str>) -> SqliteStore {
        let url = format!("sqlite://{}?mode=rwc", self.url());
        let mut store = SqliteStore::new(SqlitePool::connect(&url).await.unwrap());
        if let Some(name) = name {
            store = store.with_table_name(name).unwrap();
        }
        store.migrate().await.unwrap();
        store
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn record(fields: &[(&str, Value)], period: Duration) -> Record {
    let data: HashMap<_, _> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Record { id: Id::default(), data, expiry_date: OffsetDateTime::now_utc() + period }
}

fn a_thousand_visitors_stay_signed_in<D: Old>(database: &D) {
    const VISITORS: u32 = 1_000;
    let sessions = database.migrated();
    runtime().block_on(async {
        let before = shop::before::shop(database.old_store(None).await);
        let mut cookies = Vec::new();
        for user in 0..VISITORS {
            cookies.push(sign_in(&before, user).await);
        }
        let said =
            database.run(&[&IMPORT[..], &["--owner-from", "user_id", "--label-from", "seen"]].concat());
        assert_eq!(said, "1000 sessions imported\n");
        let after = shop::after::shop(TowerSessionStore::new(Blocking::from(sessions.clone())));
        for (user, cookie) in (0..).zip(&cookies) {
            assert!(is_signed_in(&after, cookie, user).await, "{user}");
        }
        assert!(!is_signed_in(&after, "id=AAAAAAAAAAAAAAAAAAAAAA", 0).await);
        let of_one = sessions.sessions_of("7", 10).unwrap();
        assert_eq!(of_one.len(), 1);
        assert_eq!(of_one[0].label.as_deref(), Some(u64::MAX.to_string().as_str()));
        assert_eq!(counts(&sessions), (VISITORS.into(), 0));
        // The old table is as it was.
        for (user, cookie) in (0..).zip(&cookies) {
            assert!(is_signed_in(&before, cookie, user).await, "{user}");
        }
    });
}

fn a_visitor_who_signs_out_between_two_imports_stays_out<D: Old>(database: &D) {
    let sessions = database.migrated();
    runtime().block_on(async {
        let before = shop::before::shop(database.old_store(None).await);
        let after = shop::after::shop(TowerSessionStore::new(Blocking::from(sessions.clone())));
        let (one, other) = (sign_in(&before, 1).await, sign_in(&before, 2).await);
        assert_eq!(database.run(&IMPORT), "2 sessions imported\n");
        sign_out(&after, &one).await;
        let third = sign_in(&before, 3).await;
        assert_eq!(database.run(&IMPORT), "1 session imported\n2 skipped: imported before\n");
        assert!(!is_signed_in(&after, &one, 1).await);
        assert!(is_signed_in(&after, &other, 2).await);
        assert!(is_signed_in(&after, &third, 3).await);
        // An operator ends all of them.
        assert_eq!(database.run(&["end", "--all", "--yes"]), "2 sessions ended\n");
        assert_eq!(database.run(&["sweep"]), "0 expired rows deleted\n");
        assert_eq!(database.run(&IMPORT), "0 sessions imported\n3 skipped: imported before\n");
        assert_eq!(counts(&sessions), (0, 0));
    });
}

fn what_is_skipped_is_counted_with_its_reason<D: Old>(database: &D) {
    let sessions = database.migrated();
    let deep = (0..200).fold(json!(1), |inside, _| json!([inside]));
    let records = [
        record(&[], Duration::HOUR),
        record(&[("a", json!(1))], -Duration::HOUR),
        // Larger than a value may be, and larger than what is read.
        record(&[("a", json!("x".repeat(1 << 20)))], Duration::HOUR),
        record(&[("a", json!("x".repeat(4 << 20)))], Duration::HOUR),
        record(&[("a", deep)], Duration::HOUR),
        record(&[("user", json!({}))], Duration::HOUR),
        record(&[("user", json!("x".repeat(256)))], Duration::HOUR),
        record(&[("user", json!("\u{0}"))], Duration::HOUR),
    ];
    runtime().block_on(async {
        let old = database.old_store(None).await;
        for record in &records {
            old.save(record).await.unwrap();
        }
    });
    let insert = |id: &str, data: &str| {
        database.run_sql(&format!(
            "INSERT INTO {table} (id, data, expiry_date) \
             SELECT '{id}', {data}, expiry_date FROM {table} ORDER BY length(data) LIMIT 1",
            table = D::TABLE,
        ));
    };
    insert("no id", "data");
    insert(&Id::default().to_string(), D::GARBAGE);
    let said = database.run(&[&IMPORT[..], &["--owner-from", "user"]].concat());
    assert_eq!(
        said,
        "1 session imported\n\
         1 skipped: expired\n\
         1 skipped: nested too deep\n\
         1 skipped: the owner or the label has characters that it cannot have\n\
         1 skipped: the owner or the label is neither a text nor a number\n\
         1 skipped: the owner or the label is too long\n\
         2 skipped: too large\n\
         2 skipped: undecodable\n"
    );
    assert_eq!(counts(&sessions), (1, 0));
}

/// An id that comes before others, or after them.
fn id(first: u8) -> Id {
    let mut bytes = Id::default().0.to_le_bytes();
    bytes[0] = first;
    Id(i128::from_le_bytes(bytes))
}

/// Makes records of 248 devices, and then two of one more device.
async fn with_250_records<D: Old>(database: &D) {
    let old = database.old_store(None).await;
    for number in 0..250 {
        // The ids of the last ones begin with `Z`, and the others with `A`.
        let (first, device) = if number < 248 { (0, number) } else { (0x64, 248) };
        let device = record(&[("device", json!(device))], Duration::HOUR);
        old.save(&Record { id: id(first), ..device }).await.unwrap();
    }
}

fn a_record_that_the_database_refuses_stops_no_other<D: Old>(database: &D) {
    let sessions = database.migrated();
    runtime().block_on(with_250_records(database));
    database.run_sql("CREATE UNIQUE INDEX in_the_way ON session (label)");
    let import = [&IMPORT[..], &["--label-from", "device"]].concat();
    assert_eq!(database.run(&import), "249 sessions imported\n1 skipped: the database refused it\n");
    assert_eq!(counts(&sessions), (249, 0));
    database.run_sql("DROP INDEX in_the_way");
    assert_eq!(database.run(&import), "1 session imported\n249 skipped: imported before\n");
}

/// The server stops in the second batch.
#[test]
fn an_import_that_failed_goes_on_where_it_stopped() {
    let mut database = Postgres::new();
    database.run_sql("ALTER DATABASE postgres SET synchronous_commit = on");
    database.migrated();
    runtime().block_on(with_250_records(&database));
    let mut holder = PgConnection::establish(&database.url()).unwrap();
    let wait = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END'; \
         CREATE TRIGGER wait BEFORE INSERT ON session FOR EACH ROW WHEN (NEW.label = '248') \
         EXECUTE FUNCTION wait(); SELECT pg_advisory_lock(7)";
    holder.batch_execute(wait).unwrap();
    let import = [&IMPORT[..], &["--label-from", "device"]].concat();
    let mut running = database.command(&import);
    let running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_a_waiter(&mut holder, 0);
    database.0.stop().unwrap();
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(text(output.stdout), "200 sessions imported\n");
    let line = text(output.stderr);
    assert!(line.ends_with("; the rest was not imported: run the command again for it\n"), "{line}");
    database.0.start_again().unwrap();
    assert_eq!(database.run(&import), "50 sessions imported\n200 skipped: imported before\n");
}

/// The other store goes by its column. Somebody may have ended sessions with it.
fn a_record_whose_column_has_expired_is_not_imported<D: Old>(database: &D) {
    let sessions = database.migrated();
    runtime().block_on(async {
        let old = database.old_store(None).await;
        for _ in 0..2 {
            old.save(&record(&[], Duration::HOUR)).await.unwrap();
        }
    });
    database.run_sql(&format!(
        "UPDATE {table} SET expiry_date = CURRENT_TIMESTAMP WHERE id = (SELECT min(id) FROM {table})",
        table = D::TABLE
    ));
    assert_eq!(database.run(&IMPORT), "1 session imported\n1 skipped: expired\n");
    assert_eq!(counts(&sessions), (1, 0));
}

fn the_wrong_form_of_keys_is_refused_before_anything_is_written<D: Old>(database: &D) {
    let sessions = database.migrated();
    sessions.generate(None, None).unwrap();
    runtime().block_on(async {
        database.old_store(None).await.save(&record(&[], Duration::HOUR)).await.unwrap();
    });
    let line = database.fails(&[&IMPORT[..], &["--plain-keys"]].concat());
    assert!(line.contains("hashed keys"), "{line}");
    assert_eq!(database.run(&IMPORT), "1 session imported\n");
}

/// Each file that the command writes behaves as on a full disk from 64 KiB on.
#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    let database = Sqlite::new();
    let sessions = database.migrated();
    sessions.generate_for("alice", None, None).unwrap();
    runtime().block_on(async {
        let old = database.old_store(None).await;
        for _ in 0..50 {
            old.save(&record(&[("a", json!("x".repeat(4_096)))], Duration::HOUR)).await.unwrap();
        }
    });
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$@\"", "sh"]);
    limited.arg(env!("CARGO_BIN_EXE_diesel-session")).args(IMPORT).env("DATABASE_URL", database.url());
    let output = limited.output().unwrap();
    let (said, line) = (text(output.stdout), text(output.stderr));
    assert!(line.contains("disk") || said.contains("the database refused it"), "{said}{line}");
    assert_eq!(sessions.sessions_of("alice", 10).unwrap().len(), 1);
    let said = database.run(&IMPORT);
    assert_eq!(counts(&sessions), (51, 0), "{said}");
}

fn a_missing_table_is_an_error_that_says_where_to_look<D: Old>(database: &D) {
    database.migrated();
    let line = database.fails(&IMPORT);
    assert!(line.contains("cannot be read as the table of tower-sessions-sqlx-store ("), "{line}");
    let options =
        if D::TABLE.contains('.') { "--source-url, --source-schema and" } else { "--source-url and" };
    assert!(line.ends_with(&format!("say so with {options} --source-table")), "{line}");
    // Another table, with other columns.
    database.run_sql("CREATE TABLE other (id VARCHAR(22), value TEXT)");
    for table in ["other", "\u{1b}[2J\"; DROP TABLE other; --"] {
        let line = database.fails(&[&IMPORT[..], &["--source-table", table]].concat());
        assert!(line.contains("cannot be read as") && !line.contains('\u{1b}'), "{line}");
    }
    database.run_sql("DROP TABLE other");
}

fn a_missing_session_table_is_named<D: Old>(database: &D) {
    runtime().block_on(async {
        let old = database.old_store(None).await;
        old.save(&record(&[], Duration::HOUR)).await.unwrap();
    });
    let line = database.fails(&IMPORT);
    assert!(line.contains("run `diesel-session migrate`"), "{line}");
}

fn another_table_of_another_database_can_be_the_source<D: Old>(database: &D) {
    let place = ["--source-table", "visits", "--source-schema", "visits"];
    let elsewhere = Sqlite::new();
    let sessions = elsewhere.migrated();
    runtime().block_on(async {
        let old = database.old_store(Some("visits")).await;
        old.save(&record(&[], Duration::HOUR)).await.unwrap();
    });
    let place = if D::TABLE.contains('.') { &place[..] } else { &place[..2] };
    let mut import = elsewhere.command(&[&IMPORT[..], place].concat());
    let output = import.env("SOURCE_DATABASE_URL", database.url()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(counts(&sessions), (1, 0));
}

#[test]
fn the_source_of_an_import_is_checked_like_every_database() {
    let database = Sqlite::new();
    database.migrated();
    let fails = |arguments: &[&str]| failure(database.command(&[&IMPORT[..], arguments].concat()));
    assert_eq!(fails(&["--source-schema", "old"]), "--source-schema is for PostgreSQL only: leave it out");
    let line = fails(&["--source-url", "oracle://shop:sesame@localhost/app"]);
    assert!(
        line.starts_with("the other store's database: the address is neither") && !line.contains("sesame"),
        "{line}"
    );
    let line = fails(&["--source-url", "not-there.sqlite"]);
    assert_eq!(
        line,
        "the other store's database: there is no SQLite file not-there.sqlite: check SOURCE_DATABASE_URL"
    );
    let line = fails(&["--source-url", "postgres://shop:sesame@127.0.0.1:1/shop"]);
    assert!(line.starts_with("the other store's database: ") && !line.contains("sesame"), "{line}");
}
