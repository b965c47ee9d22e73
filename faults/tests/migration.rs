//! Migration of a table to this version while programs of an earlier version use it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for runs with --nocapture")]

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

/// After this many acknowledged calls, a client counts as running.
const CALLS: u64 = 1_000;

/// How much longer than the wait for a lock a call may take, because many threads share two processors.
const TURN: Duration = Duration::from_secs(2);

on_each_store! {
    programs_of_two_versions_work_on_one_postgres_table_while_it_is_migrated
    a_migration_that_cannot_lock_the_table_gives_up_and_fails_no_call
}

/// Starts a client of the earlier version, which creates its own table.
fn older_clients(url: &str, store: &Store) -> Clients {
    let mut clients = Clients::new(&older::PROGRAM, VALUE_SIZE);
    clients.start(store, THREADS).unwrap();
    clients.wait_for(CALLS).unwrap();
    assert!(!columns(url).contains("label"), "the earlier version did not create its own table");
    clients
}

/// Returns the names of the table's columns.
fn columns(url: &str) -> String {
    let mut conn = PgConnection::establish(url).unwrap();
    let columns = "string_agg(attname::text, ' ' ORDER BY attnum) FROM pg_attribute \
         WHERE attrelid = 'session'::regclass AND attnum > 0 AND NOT attisdropped";
    diesel::select(dsl::sql::<Text>(columns)).get_result(&mut conn).unwrap()
}

/// Old and new programs use one PostgreSQL table before, during and after the migration. No call fails, and nothing
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

/// Another transaction has read the table and stays open, so the migration cannot lock the table.
fn a_migration_that_cannot_lock_the_table_gives_up_and_fails_no_call(kind: Kind) {
    /// The longest wait of one attempt of the migration. Calls wait behind it.
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

/// The same on SQLite, where a migration takes the only write lock.
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
