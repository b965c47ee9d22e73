//! `import`. The real tower-sessions-sqlx-store made the sessions.

use std::collections::HashMap;

use diesel_session::{Blocking, Sessions as _, TowerSessionStore};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::runtime::{Builder, Runtime};
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_sqlx_store::sqlx::{PgPool, SqlitePool};
use tower_sessions_sqlx_store::{PostgresStore, SqliteStore};

mod shop;

use crate::support::{Database, Postgres, Sqlite, counts, failure, on_each_database};
use shop::{is_signed_in, sign_in, sign_out};

on_each_database! {
    a_thousand_visitors_stay_signed_in
    a_visitor_who_signs_out_between_two_imports_stays_out
    what_is_skipped_is_counted_with_its_reason
    an_import_that_failed_goes_on_where_it_stopped
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
        assert_eq!(database.run(&["sweep"]), "0 expired sessions deleted\n");
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

fn an_import_that_failed_goes_on_where_it_stopped<D: Old>(database: &D) {
    let sessions = database.migrated();
    runtime().block_on(async {
        let old = database.old_store(None).await;
        for number in 0..250 {
            // The ids of the last ones begin with `Z`, and the others with `A`.
            let (first, device) = if number < 248 { (0, number) } else { (0x64, 248) };
            let device = record(&[("device", json!(device))], Duration::HOUR);
            old.save(&Record { id: id(first), ..device }).await.unwrap();
        }
    });
    database.run_sql("CREATE UNIQUE INDEX in_the_way ON session (label)");
    let import = [&IMPORT[..], &["--label-from", "device"]].concat();
    let line = database.fails(&import);
    assert!(line.starts_with("200 sessions imported, then the import failed ("), "{line}");
    assert!(line.ends_with("): run the command again, and it takes the rest"), "{line}");
    assert_eq!(counts(&sessions), (200, 0));
    database.run_sql("DROP INDEX in_the_way");
    assert_eq!(database.run(&import), "50 sessions imported\n200 skipped: imported before\n");
}

fn a_missing_table_is_an_error_that_says_where_to_look<D: Old>(database: &D) {
    database.migrated();
    let line = database.fails(&IMPORT);
    assert!(line.contains("is no table of tower-sessions-sqlx-store that this role can read"), "{line}");
    assert!(
        line.ends_with("say where it is with --source-url, --source-schema and --source-table"),
        "{line}"
    );
    // Another table, with other columns.
    database.run_sql("CREATE TABLE other (id VARCHAR(22), value TEXT)");
    for table in ["other", "\u{1b}[2J\"; DROP TABLE other; --"] {
        let line = database.fails(&[&IMPORT[..], &["--source-table", table]].concat());
        assert!(line.contains("is no table of") && !line.contains('\u{1b}'), "{line}");
    }
    database.run_sql("DROP TABLE other");
}

fn a_missing_session_table_is_named<D: Old>(database: &D) {
    runtime().block_on(async {
        let old = database.old_store(None).await;
        old.save(&record(&[], Duration::HOUR)).await.unwrap();
    });
    let line = database.fails(&IMPORT);
    assert!(line.starts_with("there is no session table: run `diesel-session migrate`"), "{line}");
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
    let line = fails(&["--source-url", "mysql://shop:sesame@localhost/app"]);
    assert!(
        line.starts_with("the other store's database, --source-url: the address is neither")
            && !line.contains("sesame"),
        "{line}"
    );
    let line = fails(&["--source-url", "not-there.sqlite"]);
    assert!(line.contains("--source-url: there is no SQLite file not-there.sqlite"), "{line}");
}
