//! Sessions of another store for tower-sessions are imported, each at most once.

use std::collections::HashMap;
use std::thread;

use diesel_session::{
    Blocking, ImportOutcome, KeyStorage, MemorySession, Now as _, OwnerLimit, Sessions as _, TimeDelta,
    TowerSessionStore, WebStore, migrations,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, PrimitiveDateTime};
use tower_sessions::SessionStore as _;
use tower_sessions::session::{Id, Record};

use crate::hosts::{Host, Limits, laws_on_every_host};
use crate::support::{Database, Postgres, Sql as _, WAITERS};
use crate::waiting::runtime;

laws_on_every_host! {
    an_imported_session_keeps_its_id_its_data_and_its_expiry
    a_session_that_was_ended_is_not_imported_again
    two_imports_at_once_import_each_session_once
    an_import_is_whole_or_nothing
    each_record_that_is_not_imported_says_why
    an_import_is_remembered_until_thirty_days_after_the_record
    an_imported_session_has_its_owner_and_no_limit_counts
}

fn store<W: WebStore>(web: W) -> TowerSessionStore<W> {
    TowerSessionStore::new(web).owner_from("user").label_from("device")
}

fn record(fields: &[(&str, Value)], period: Duration) -> Record {
    let data: HashMap<_, _> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Record { id: Id::default(), data, expiry_date: OffsetDateTime::now_utc() + period }
}

fn of_alice() -> Record {
    record(&[("user", json!("alice")), ("cart", json!([1, { "é": null }]))], Duration::HOUR)
}

async fn import<W: WebStore>(store: &TowerSessionStore<W>, records: &[Record]) -> String {
    let outcomes = store.import(records).await.unwrap();
    let name = |outcome: &ImportOutcome| match outcome {
        ImportOutcome::Refused(error) => format!("refused: {error}"),
        other => format!("{other:?}"),
    };
    outcomes.iter().map(name).collect::<Vec<_>>().join(", ")
}

async fn an_imported_session_keeps_its_id_its_data_and_its_expiry<H: Host>() {
    let host = H::new().await;
    let (here, mut records) = (store(host.web()), vec![of_alice(), of_alice()]);
    // For a framework, "never" is a very long time.
    records[1].expiry_date = PrimitiveDateTime::MAX.assume_utc();
    assert_eq!(import(&here, &records).await, "Imported, Imported");
    let loaded = here.load(&records[0].id).await.unwrap().unwrap();
    let apart = (loaded.expiry_date - records[0].expiry_date).abs();
    assert!(apart < Duration::SECOND, "{apart}");
    for record in &records {
        let mut loaded = here.load(&record.id).await.unwrap().unwrap();
        assert_eq!(loaded.data["cart"], record.data["cart"]);
        // It can be saved and renewed like any other.
        loaded.data.insert("cart".to_owned(), json!(3));
        here.save(&loaded).await.unwrap();
        let mut renewed = here.load(&record.id).await.unwrap().unwrap();
        here.delete(&renewed.id).await.unwrap();
        here.create(&mut renewed).await.unwrap();
        assert_eq!(here.load(&renewed.id).await.unwrap().unwrap().data["cart"], json!(3));
        assert!(here.load(&record.id).await.unwrap().is_none());
    }
    assert_eq!(host.sessions().count().unwrap().live, 2);
    assert_eq!(import(&here, &[]).await, "");
}

/// The ways to end a session, or its id.
const ENDS: [&str; 8] = [
    "log out",
    "clear",
    "clear_owner",
    "clear_all",
    "clear_handle",
    "rotate",
    "cycle_id",
    "cycle_id and log out",
];

async fn end<H: Host>(host: &H, here: &TowerSessionStore<H::Web>, record: &Record, how: &str) {
    let (sessions, key) = (host.sessions(), here.key(&record.id));
    match how {
        "log out" => here.delete(&record.id).await.unwrap(),
        "clear" => sessions.clear(&key).unwrap(),
        "clear_owner" => assert_eq!(sessions.clear_owner("alice", None).unwrap(), 1),
        "clear_all" => assert_eq!(sessions.clear_all().unwrap(), 1),
        "clear_handle" => assert!(sessions.clear_handle(&here.handle(&record.id)).unwrap()),
        "rotate" => drop(sessions.rotate(&key).unwrap()),
        _ => {
            let mut renewed = here.load(&record.id).await.unwrap().unwrap();
            here.delete(&renewed.id).await.unwrap();
            here.create(&mut renewed).await.unwrap();
            if how == "cycle_id and log out" {
                here.delete(&renewed.id).await.unwrap();
            }
        }
    }
}

async fn a_session_that_was_ended_is_not_imported_again<H: Host>() {
    let host = H::new().await;
    let (here, there) = (store(host.web()), store(host.elsewhere().await));
    for how in ENDS {
        let record = of_alice();
        assert_eq!(import(&here, std::slice::from_ref(&record)).await, "Imported", "{how}");
        end(&host, &here, &record, how).await;
        host.sessions().delete_expired(1_000).unwrap();
        assert_eq!(import(&there, std::slice::from_ref(&record)).await, "AlreadyImported", "{how}");
        assert!(there.load(&record.id).await.unwrap().is_none(), "{how}");
        host.sessions().clear_all().unwrap();
    }
    // Nothing shows what was imported.
    assert_eq!(host.sessions().count().unwrap().live + host.sessions().count().unwrap().expired, 0);
    assert!(host.sessions().list(None, None, 10).unwrap().sessions.is_empty());
}

async fn two_imports_at_once_import_each_session_once<H: Host>() {
    let host = H::new().await;
    let (here, there) = (store(host.web()), store(host.elsewhere().await));
    for _ in 0..5 {
        let records: Vec<_> = (0..50).map(|_| of_alice()).collect();
        let backwards: Vec<_> = records.iter().rev().cloned().collect();
        let (one, other) = tokio::join!(here.import(&records), there.import(&backwards));
        let new = |outcomes: Vec<ImportOutcome>| {
            outcomes.iter().filter(|outcome| matches!(outcome, ImportOutcome::Imported)).count()
        };
        assert_eq!(new(one.unwrap()) + new(other.unwrap()), 50);
        assert_eq!(host.sessions().clear_all().unwrap(), 50);
    }
}

async fn an_import_is_whole_or_nothing<H: Host>() {
    let host = H::new().await;
    let here = store(host.web());
    let records = [of_alice(), of_alice(), of_alice()];
    // The second row of each session cannot be written.
    host.run("ALTER TABLE session RENAME COLUMN label TO away");
    assert!(here.import(&records).await.is_err());
    host.run("ALTER TABLE session RENAME COLUMN away TO label");
    assert_eq!(host.sessions().count().unwrap().live, 0);
    assert_eq!(import(&here, &records).await, "Imported, Imported, Imported");
}

async fn each_record_that_is_not_imported_says_why<H: Host>() {
    let host = H::new().await;
    let here = store(host.web());
    let deep = (0..200).fold(json!(1), |inside, _| json!([inside]));
    let outcomes = [
        (of_alice(), "Imported"),
        (record(&[], -Duration::SECOND), "Expired"),
        (record(&[("x", json!("x".repeat(1 << 20)))], Duration::HOUR), "ValueTooLarge"),
        (record(&[("user", json!([]))], Duration::HOUR), "NotText"),
        (record(&[("user", json!("x".repeat(256)))], Duration::HOUR), "OwnerTooLong"),
        (record(&[("device", json!("x".repeat(256)))], Duration::HOUR), "LabelTooLong"),
        (record(&[("deep", deep)], Duration::HOUR), "TooDeep"),
        (of_alice(), "Imported"),
    ];
    let (records, expected): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
    let outcomes = here.import(&records).await.unwrap();
    for ((outcome, expected), record) in outcomes.iter().zip(expected).zip(&records) {
        let shown = match outcome {
            ImportOutcome::Refused(error) => format!("{error:?}"),
            other => format!("{other:?}"),
        };
        assert!(shown.starts_with(expected), "{expected}: {shown}");
        let is_there = here.load(&record.id).await.unwrap().is_some();
        assert_eq!(is_there, expected == "Imported", "{expected}");
    }
}

async fn an_import_is_remembered_until_thirty_days_after_the_record<H: Host>() {
    let host = H::new().await;
    let here = store(host.web());
    let record = of_alice();
    import(&here, std::slice::from_ref(&record)).await;
    here.delete(&record.id).await.unwrap();
    // The record lives for an hour. Thirty days later its marker is still there.
    let age = |minutes: u32| {
        host.run(&format!("UPDATE session SET expire_date = expire_date - {minutes} * {{minute}}"));
        host.sessions().delete_expired(10).unwrap()
    };
    assert_eq!(age(30 * 24 * 60), 0);
    assert_eq!(import(&here, std::slice::from_ref(&record)).await, "AlreadyImported");
    // A sweep leaves the rows of the current hour.
    assert_eq!(age(2 * 60), 1);
}

async fn an_imported_session_has_its_owner_and_no_limit_counts<H: Host>() {
    let host = H::limited(Limits { owner_limit: Some(OwnerLimit::Refuse(1)), ..Limits::default() }).await;
    let here = store(host.web());
    let mut records = vec![of_alice(), of_alice(), of_alice()];
    records[0].data.insert("device".to_owned(), json!("Firefox"));
    assert_eq!(import(&here, &records).await, "Imported, Imported, Imported");
    let sessions = host.sessions().sessions_of("alice", 10).unwrap();
    let labels: Vec<_> = sessions.iter().filter_map(|session| session.label.as_deref()).collect();
    assert_eq!((sessions.len(), labels), (3, vec!["Firefox"]));
    let one_more = here.create(&mut of_alice()).await;
    assert!(one_more.is_err(), "the limit counts for logins");
}

/// The table's keys were in clear when the sessions were imported, and are hashed later.
#[test]
fn an_import_is_remembered_when_the_keys_of_the_table_are_hashed() {
    let database = Database::new();
    let plain = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
    plain.migrate().unwrap();
    runtime().block_on(async {
        let before = store(Blocking::from(plain));
        let (ended, live) = (of_alice(), of_alice());
        assert_eq!(import(&before, &[ended.clone(), live.clone()]).await, "Imported, Imported");
        before.delete(&ended.id).await.unwrap();
        assert_eq!(migrations::adopt(&mut database.conn()).unwrap(), 1);
        let after = store(Blocking::from(database.store()));
        assert_eq!(import(&after, &[ended.clone(), live.clone()]).await, "AlreadyImported, AlreadyImported");
        assert!(after.load(&ended.id).await.unwrap().is_none());
        assert!(after.load(&live.id).await.unwrap().is_some());
    });
}

/// The import has begun before `clear_all`, and commits during it.
#[test]
fn clear_all_waits_for_an_import_and_ends_its_sessions() {
    let database = Database::new();
    let sessions = database.store_with(Postgres::builder().statement_timeout(TimeDelta::minutes(1)));
    let mut holder = database.conn();
    holder.run(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END'; \
         CREATE TRIGGER wait BEFORE INSERT ON session FOR EACH ROW EXECUTE FUNCTION wait(); \
         SELECT pg_advisory_lock(7)",
    );
    let here = store(Blocking::from(sessions.clone()));
    let records: Vec<_> = (0..3).map(|_| of_alice()).collect();
    thread::scope(|scope| {
        let imported = scope.spawn(|| runtime().block_on(import(&here, &records)));
        holder.wait_until(WAITERS, |waiters| waiters == 1);
        let cleared = scope.spawn(|| sessions.clear_all().unwrap());
        holder.wait_until(WAITERS, |waiters| waiters == 2);
        holder.run("SELECT pg_advisory_unlock(7)");
        assert_eq!(imported.join().unwrap(), "Imported, Imported, Imported");
        assert_eq!(cleared.join().unwrap(), 3);
    });
    assert_eq!(sessions.count().unwrap().live, 0);
}

#[test]
fn an_import_in_memory_revives_nothing_either() {
    let sessions = MemorySession::new();
    let here = store(Blocking::new(sessions.clone(), 2));
    let records = [of_alice(), of_alice()];
    runtime().block_on(async {
        assert_eq!(import(&here, &records).await, "Imported, Imported");
        here.delete(&records[0].id).await.unwrap();
        assert_eq!(sessions.clear_all().unwrap(), 1);
        assert_eq!(import(&here, &records).await, "AlreadyImported, AlreadyImported");
        assert_eq!(sessions.count().unwrap().live, 0);
    });
}

#[test]
fn an_id_that_comes_twice_is_imported_once() {
    let here = store(Blocking::new(MemorySession::new(), 2));
    let record = of_alice();
    let (twice, others) = ([record.clone(), record], (0..600).map(|_| of_alice()));
    let all: Vec<_> = twice.iter().cloned().chain(others).chain(twice.iter().cloned()).collect();
    let outcomes = runtime().block_on(here.import(&all)).unwrap();
    let new = outcomes.iter().filter(|outcome| matches!(outcome, ImportOutcome::Imported)).count();
    assert_eq!((new, outcomes.len()), (601, 604));
}
