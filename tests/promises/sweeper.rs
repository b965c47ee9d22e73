//! The sweeper: it deletes, stops, and outlives its database's outages.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use diesel_session::{Error, MemorySession, Now, Sessions, Sweeper, SweeperBuilder, TimeDelta};
use throwaway_postgres::Server;

use crate::support::{Database, File, Postgres, Sql, Store};

/// Far more than any sweep takes, and far less than for ever.
const LATE: Duration = Duration::from_secs(60);

const SHORT: Duration = Duration::from_millis(20);

fn sweeper() -> SweeperBuilder<Error> {
    Sweeper::builder().interval(SHORT).jitter(Duration::ZERO)
}

/// A sweeper that reports its errors here.
fn reporting() -> (SweeperBuilder<Error>, Receiver<String>) {
    let (report, reports) = channel();
    // Nobody listens any more at the end of the test.
    let builder = sweeper().on_error(move |error: &Error| drop(report.send(error.to_string())));
    (builder, reports)
}

fn expire(store: &impl Store, sessions: usize) {
    for _ in 0..sessions {
        store.generate(None, Some(TimeDelta::hours(-2))).unwrap();
    }
}

/// Waits until the store holds no expired session, and no longer than a minute.
fn is_swept(store: &impl Store) {
    let started = Instant::now();
    while store.count().unwrap().expired > 0 {
        assert!(started.elapsed() < LATE, "nobody sweeps");
        thread::yield_now();
    }
}

fn sweeps_again_and_again(store: &(impl Store + Clone + Send + 'static)) {
    let live = store.generate(Some("live".to_owned()), None).unwrap();
    expire(store, 25);
    let sweeper = sweeper().batch(10).start(store.clone()).unwrap();
    is_swept(store);
    expire(store, 5);
    is_swept(store);
    drop(sweeper);
    assert_eq!(store.get(&live).unwrap().0, "live");
}

#[test]
fn it_sweeps_again_and_again() {
    let database = Database::new();
    sweeps_again_and_again(&database.store());
    let file = File::new();
    sweeps_again_and_again(&file.store());
    sweeps_again_and_again(&MemorySession::new());
}

#[test]
fn several_sweep_one_table_and_leave_what_is_live() {
    let database = Database::new();
    let store = database.store();
    let live = store.generate(Some("live".to_owned()), None).unwrap();
    database.conn().run(
        "INSERT INTO session (session_key, expire_date) \
         SELECT '$' || md5(n::text) || '0000000', now() - interval '2 hours' FROM generate_series(1, 20000) AS n",
    );
    let sweepers: Vec<Sweeper> = (0..4).map(|_| sweeper().start(store.clone()).unwrap()).collect();
    is_swept(&store);
    drop(sweepers);
    assert_eq!(store.count().unwrap().live, 1);
    assert_eq!(store.get(&live).unwrap().0, "live");
}

/// Waits for the end of a sweeper's thread, with which all is dropped that it holds.
fn is_over(reports: &Receiver<String>) {
    loop {
        match reports.recv_timeout(LATE) {
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("the thread goes on"),
        }
    }
}

#[test]
fn dropped_it_stops_however_long_it_would_wait() {
    let day = Duration::from_secs(24 * 60 * 60);
    let store = MemorySession::new();
    let (builder, reports) = reporting();
    drop(builder.interval(day).jitter(day).start(store.clone()).unwrap());
    is_over(&reports);
    // Stopped, and not merely told so.
    expire(&store, 1);
    assert_eq!(store.count().unwrap().expired, 1);
}

/// A batch that waits for a lock holds nobody up who drops the sweeper.
#[test]
fn dropped_it_waits_for_no_batch_that_the_database_holds_up() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().statement_timeout(LATE));
    expire(&store, 1);
    let mut locker = database.conn();
    locker.run("BEGIN; LOCK TABLE session");
    let (builder, reports) = reporting();
    let waiting = builder.start(store.clone()).unwrap();
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let started = Instant::now();
    while locker.number(blocked) == 0 {
        assert!(started.elapsed() < LATE, "the batch does not wait");
        thread::yield_now();
    }
    drop(waiting);
    assert_eq!(locker.number(blocked), 1, "the batch waits, and the caller does not");
    // And it ends by itself.
    locker.run("ROLLBACK");
    is_over(&reports);
}

#[test]
fn it_outlives_an_outage_and_reports_it() {
    let mut server = Server::start(&[]).unwrap();
    let builder = Postgres::builder().connection_timeout(Duration::from_secs(1));
    let store = builder.connect(&server.url("postgres")).unwrap();
    store.migrate().unwrap();
    let (builder, reports) = reporting();
    let sweeper = builder.start(store.clone()).unwrap();
    expire(&store, 3);
    is_swept(&store);
    assert!(reports.try_recv().is_err());
    server.stop().unwrap();
    let told = reports.recv_timeout(LATE).unwrap();
    assert!(told.contains("connection"), "{told}");
    server.start_again().unwrap();
    expire(&store, 3);
    is_swept(&store);
    drop(sweeper);
    is_over(&reports);
}

#[test]
fn settings_that_would_never_sweep_or_always_are_refused() {
    let refused = |builder: SweeperBuilder<Error>, expected: &str| match builder.start(MemorySession::new()) {
        Err(Error::Configuration { setting, .. }) => assert_eq!(setting, expected),
        other => panic!("{expected}: {other:?}"),
    };
    refused(sweeper().interval(Duration::ZERO), "interval");
    refused(sweeper().interval(Duration::MAX), "interval");
    refused(sweeper().jitter(Duration::MAX), "jitter");
    refused(sweeper().batch(0), "batch");
}
