//! The sweeper deletes, stops, and survives outages of its database.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use diesel_session::{
    AsyncDieselSession, Error, MemorySession, Now, Sessions, Sweeper, SweeperBuilder, TimeDelta,
};
use throwaway_postgres::Server;

use crate::support::{Database, File, LATE, Postgres, Sql, Store, WAITERS};
use crate::waiting::runtime;

const SHORT: TimeDelta = TimeDelta::milliseconds(20);

fn sweeper<S: Sessions + Clone + Send + 'static>(store: &S) -> SweeperBuilder {
    Sweeper::builder(store.clone()).interval(SHORT).jitter(TimeDelta::zero())
}

/// Returns a sweeper, and the channel to which it reports its errors.
fn reporting<S: Sessions + Clone + Send + 'static>(store: &S) -> (SweeperBuilder, Receiver<String>) {
    let (report, reports) = channel();
    // At the end of the test, the receiver is gone.
    let builder = sweeper(store).on_error(move |error| drop(report.send(error.to_string())));
    (builder, reports)
}

fn expire(store: &impl Store, sessions: usize) {
    for _ in 0..sessions {
        store.generate(None, Some(TimeDelta::hours(-2))).unwrap();
    }
}

/// Waits until the store holds no expired session. Gives up after a minute.
fn is_swept(store: &impl Store) {
    let started = Instant::now();
    while store.count().unwrap().expired > 0 {
        assert!(started.elapsed() < LATE, "nobody sweeps");
        thread::park_timeout(SHORT.to_std().unwrap());
    }
}

fn sweeps_again_and_again(store: &(impl Store + Clone + Send + 'static)) {
    let live = store.generate(Some("live"), None).unwrap();
    expire(store, 25);
    let sweeper = sweeper(store).batch(10).start().unwrap();
    is_swept(store);
    expire(store, 5);
    is_swept(store);
    drop(sweeper);
    assert_eq!(store.get(&live).unwrap().0, "live");
}

#[test]
fn a_sweeper_tells_how_many_sessions_each_batch_deleted() {
    let file = File::new();
    let store = file.store();
    expire(&store, 25);
    let (batch, batches) = channel();
    let builder = sweeper(&store).batch(10).on_batch(move |sessions| {
        // At the end of the test, the receiver is gone.
        let _heard = batch.send(sessions);
    });
    let _sweeper = builder.start().unwrap();
    assert_eq!(batches.iter().take(4).collect::<Vec<_>>(), [10, 10, 5, 0]);
    expire(&store, 1);
    let next: Vec<usize> = batches.iter().skip_while(|sessions| *sessions == 0).take(2).collect();
    assert_eq!(next, [1, 0]);
}

#[test]
fn a_sweeper_sweeps_an_asynchronous_store() {
    let database = Database::new();
    let beside = database.store();
    let runtime = runtime();
    let store = runtime.block_on(database.async_store_with(AsyncDieselSession::builder()));
    let sweeper = runtime.block_on(async {
        Sweeper::builder_async(store).interval(SHORT).jitter(TimeDelta::zero()).batch(10).start().unwrap()
    });
    for sessions in [25, 5] {
        expire(&beside, sessions);
        is_swept(&beside);
    }
    drop(sweeper);
}

#[test]
fn a_sweeper_sweeps_again_and_again() {
    let database = Database::new();
    sweeps_again_and_again(&database.store());
    let file = File::new();
    sweeps_again_and_again(&file.store());
    sweeps_again_and_again(&MemorySession::new());
}

/// It deletes batch after batch until no expired session is left. Then it waits until the interval is over.
#[test]
fn a_sweeper_sweeps_until_none_is_left_and_then_waits() {
    let store = MemorySession::new();
    expire(&store, 25);
    let (builder, reports) = reporting(&store);
    let sweeper = builder.batch(7).interval(TimeDelta::seconds(24 * 60 * 60)).start().unwrap();
    is_swept(&store);
    expire(&store, 3);
    assert_eq!(reports.recv_timeout(SHORT.to_std().unwrap() * 10), Err(RecvTimeoutError::Timeout));
    assert_eq!(store.count().unwrap().expired, 3);
    drop(sweeper);
}

#[test]
fn several_sweepers_share_one_table_and_delete_no_live_session() {
    let database = Database::new();
    let store = database.store();
    let live = store.generate(Some("live"), None).unwrap();
    database.conn().run(
        "INSERT INTO session (session_key, expire_date) \
         SELECT '$' || md5(n::text) || '0000000', now() - interval '2 hours' FROM generate_series(1, 20000) AS n",
    );
    let sweepers: Vec<Sweeper> = (0..4).map(|_| sweeper(&store).start().unwrap()).collect();
    is_swept(&store);
    drop(sweepers);
    assert_eq!(store.count().unwrap().live, 1);
    assert_eq!(store.get(&live).unwrap().0, "live");
}

/// Waits for the end of a sweeper's thread, which then drops everything that it holds.
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
fn a_dropped_sweeper_stops_however_long_it_would_wait() {
    let day = TimeDelta::days(1);
    let store = MemorySession::new();
    let (builder, reports) = reporting(&store);
    drop(builder.interval(day).jitter(day).start().unwrap());
    is_over(&reports);
    // The sweeper has stopped, and has not only been asked to.
    expire(&store, 1);
    assert_eq!(store.count().unwrap().expired, 1);
}

/// A batch that waits for a lock does not delay a caller who drops the sweeper.
#[test]
fn dropping_a_sweeper_does_not_wait_for_a_blocked_batch() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().statement_timeout(TimeDelta::minutes(1)));
    expire(&store, 1);
    let mut locker = database.conn();
    locker.run("BEGIN; LOCK TABLE session");
    let (builder, reports) = reporting(&store);
    let waiting = builder.start().unwrap();
    locker.wait_for_a_waiter();
    let started = Instant::now();
    drop(waiting);
    // The wait is a second. A loaded machine may take a while to notice.
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(locker.number(WAITERS), 1, "the batch waits, and the caller does not");
    // The batch then ends by itself.
    locker.run("ROLLBACK");
    is_over(&reports);
}

#[test]
fn a_sweeper_survives_an_outage_and_reports_it() {
    let mut server = Server::start(&[]).unwrap();
    let builder = Postgres::builder().connection_timeout(TimeDelta::seconds(1));
    let store = builder.connect(&server.url("postgres")).unwrap();
    store.migrate().unwrap();
    let (builder, reports) = reporting(&store);
    let sweeper = builder.start().unwrap();
    expire(&store, 3);
    is_swept(&store);
    assert!(reports.try_recv().is_err());
    server.stop().unwrap();
    let told = reports.recv_timeout(LATE).unwrap();
    assert!(told.contains("connection"), "{told}");
    server.start_again().unwrap();
    // This store waits longer for the server.
    let patient = Postgres::builder()
        .connection_timeout(TimeDelta::minutes(1))
        .connect(&server.url("postgres"))
        .unwrap();
    expire(&patient, 3);
    is_swept(&patient);
    drop(sweeper);
    is_over(&reports);
}

#[test]
fn settings_with_which_a_sweeper_never_sweeps_or_never_pauses_are_refused() {
    let refused = |settings: fn(SweeperBuilder) -> SweeperBuilder, expected: &str| match settings(sweeper(
        &MemorySession::new(),
    ))
    .start()
    {
        Err(Error::Configuration { setting, .. }) => assert_eq!(setting, expected),
        other => panic!("{expected}: {other:?}"),
    };
    refused(|builder| builder.interval(TimeDelta::zero()), "interval");
    refused(|builder| builder.interval(TimeDelta::MAX), "interval");
    refused(|builder| builder.jitter(TimeDelta::MAX), "jitter");
    refused(|builder| builder.batch(0), "batch");
}
