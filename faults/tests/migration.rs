//! A table that is brought to this version's form while programs of an earlier version work on it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for whoever asks with --nocapture")]

mod older;
mod support;

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_session::{
    DieselSession, Error, KeyStorage, MigrationError, NewSession, Now as _, Sessions, migrations,
};
use diesel_session_faults::{Clients, DURABLE, Kind, Store};
use throwaway_postgres::Server;

use crate::support::{PROGRAM, VALUE_SIZE, holds, on_each_store};

const THREADS: usize = 4;

/// Calls that show that a client is at work.
const CALLS: u64 = 1_000;

/// What a call may take beyond the wait for a lock, where many threads share two processors.
const TURN: Duration = Duration::from_secs(2);

on_each_store! {
    programs_of_two_versions_work_on_one_postgres_table_while_it_is_migrated
    a_lock_that_does_not_come_ends_the_migration_and_no_call
}

/// A client of the earlier version, at work on a table that it has made.
fn older_clients(url: &str, store: &Store) -> Clients {
    let mut clients = Clients::new(&older::PROGRAM, VALUE_SIZE);
    clients.start(store, THREADS).unwrap();
    clients.wait_for(CALLS).unwrap();
    assert!(!columns(url).contains("label"), "it has not made its own table");
    clients
}

/// The columns of the table, by name.
fn columns(url: &str) -> String {
    let mut conn = PgConnection::establish(url).unwrap();
    let columns = "string_agg(attname::text, ' ' ORDER BY attnum) FROM pg_attribute \
         WHERE attrelid = 'session'::regclass AND attnum > 0 AND NOT attisdropped";
    diesel::select(dsl::sql::<Text>(columns)).get_result(&mut conn).unwrap()
}

/// Old and new programs on one PostgreSQL table, before, during and after the migration: no call fails, and nothing that was
/// acknowledged is lost.
fn programs_of_two_versions_work_on_one_postgres_table_while_it_is_migrated(kind: Kind) {
    let server = Server::start(&DURABLE).unwrap();
    let url = server.url("postgres");
    let store = Store::new(kind, &url);
    let mut clients = older_clients(&url, &store);

    let sessions = DieselSession::<PgConnection>::connect(&url).unwrap();
    let started = Instant::now();
    assert_eq!(sessions.migrate().unwrap(), 1);
    println!("migrated under load in {:.0?}", started.elapsed());
    assert!(columns(&url).ends_with("label used_on"));

    clients.run_program(PROGRAM.as_ref());
    clients.start(&store, THREADS).unwrap();
    clients.wait_for(CALLS).unwrap();
    let key = sessions.generate_with(&NewSession::new().label("Firefox on Linux")).unwrap();
    assert_eq!(sessions.find(&key).unwrap().label.as_deref(), Some("Firefox on Linux"));
    sessions.clear(&key).unwrap();
    let report = holds(clients, &store);
    assert_eq!(report.failed(), 0, "{report}");
    assert!(report.longest_call < TURN, "{report}");
}

/// A transaction of somebody else, who looked at the table and went away, keeps the migration from it.
fn a_lock_that_does_not_come_ends_the_migration_and_no_call(kind: Kind) {
    /// The longest wait of an attempt, behind which calls wait.
    const ATTEMPT: Duration = Duration::from_millis(1_500);
    let server = Server::start(&DURABLE).unwrap();
    let url = server.url("postgres");
    let store = Store::new(kind, &url);
    let mut clients = older_clients(&url, &store);
    let mut idle = PgConnection::establish(&url).unwrap();
    idle.batch_execute("BEGIN; SELECT FROM session LIMIT 1").unwrap();

    let before = columns(&url);
    let mut conn = PgConnection::establish(&url).unwrap();
    let busy = migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap_err();
    assert!(busy.is_transient() && !busy.may_have_taken_effect());
    let Error::Migration(MigrationError::TableBusy { waited, .. }) = busy else { panic!("{busy:?}") };
    println!("gave up after {waited:.1?}");
    assert_eq!(columns(&url), before);
    clients.wait_for(CALLS).unwrap();

    // The next start tries again.
    idle.batch_execute("COMMIT").unwrap();
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 1);
    clients.wait_for(CALLS).unwrap();
    let report = holds(clients, &store);
    assert_eq!(report.failed(), 0, "{report}");
    assert!(report.longest_call < ATTEMPT + TURN, "{report}");
    let rewritten = "SELECT count(*) FROM session WHERE used_on IS NOT NULL";
    assert_eq!(dsl::sql::<BigInt>(rewritten).get_result::<i64>(&mut conn).unwrap(), 0, "by older programs");
}

/// The same on SQLite, where a migration takes the one write lock.
#[test]
fn programs_of_two_versions_work_on_one_sqlite_file_while_it_is_migrated() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sessions.sqlite");
    let store = Store::new(Kind::Sqlite, file.to_str().unwrap());
    let mut clients = Clients::new(&older::PROGRAM, VALUE_SIZE);
    clients.start(&store, THREADS).unwrap();
    clients.wait_for(CALLS).unwrap();
    let sessions = DieselSession::<SqliteConnection>::connect(file.to_str().unwrap()).unwrap();
    assert_eq!(sessions.migrate().unwrap(), 1);
    clients.run_program(PROGRAM.as_ref());
    clients.start(&store, THREADS).unwrap();
    clients.wait_for(CALLS).unwrap();
    let report = holds(clients, &store);
    assert_eq!(report.failed(), 0, "{report}");
}
