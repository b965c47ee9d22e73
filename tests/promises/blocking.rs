//! Any store in asynchronous programs: every law, and the properties of the futures.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use diesel_session::{AsyncNow, AsyncSessions, Blocking, Error, Expiry, MemorySession, TimeDelta};

use throwaway_postgres::Server;
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::support::{Database, LATE, Postgres};
use crate::waiting::runtime;

mod sqlite {
    use diesel_session::{Blocking, OwnerLimit};

    use crate::support::{File, Sqlite, bounded};
    use crate::waiting::{Waiting, waiting};

    fn with_store(law: impl FnOnce(&Waiting<Blocking<Sqlite>>)) {
        law(&waiting(Blocking::from(File::new().store())));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Waiting<Blocking<Sqlite>>)) {
        law(&waiting(Blocking::from(File::new().store_with(bounded(limit)))));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod mysql {
    use diesel_session::{Blocking, OwnerLimit};

    use crate::support::{MariaDb, Mysql, bounded};
    use crate::waiting::{Waiting, waiting};

    fn with_store(law: impl FnOnce(&Waiting<Blocking<Mysql>>)) {
        let database = MariaDb::new();
        law(&waiting(Blocking::from(database.store())));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Waiting<Blocking<Mysql>>)) {
        let database = MariaDb::new();
        law(&waiting(Blocking::from(database.store_with(bounded(limit)))));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

/// Twelve tasks each hold one of two connections for a while. Together this takes longer than a call waits for the
/// pool. The tasks therefore have to wait before they ask the pool.
#[test]
fn no_more_calls_run_at_once_than_the_pool_has_connections() {
    let database = Database::new();
    let builder = Postgres::builder().pool_size(2).connection_timeout(TimeDelta::seconds(1));
    let sessions = Blocking::from(database.store_with(builder));
    runtime().block_on(async {
        let tasks: Vec<_> = (0..12)
            .map(|_| {
                let sessions = sessions.clone();
                tokio::spawn(async move {
                    let key = sessions.generate(None, None).await?;
                    let change = move |_| {
                        thread::park_timeout(Duration::from_millis(300));
                        Ok::<_, Error>("x".to_owned())
                    };
                    sessions.update(&key, Expiry::Default, change).await
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), "x");
        }
    });
}

/// Only one call may run, and that is the update itself.
#[test]
fn an_update_that_calls_its_store_fails_instead_of_waiting() {
    let sessions = Blocking::new(MemorySession::new(), 1).patience(TimeDelta::seconds(60));
    let runtime = runtime();
    let (inner, handle) = (sessions.clone(), runtime.handle().clone());
    let updated = runtime.block_on(async {
        let key = sessions.generate(Some("x"), None).await.unwrap();
        let change = move |_| handle.block_on(inner.get(&key)).map(|(value, _)| value);
        sessions.update(&key, Expiry::Keep, change).await
    });
    assert!(matches!(updated, Err(Error::WithinUpdate)), "{updated:?}");
}

/// A call that has begun runs to its end, and its connection returns to the pool.
#[test]
fn a_dropped_future_still_finishes_its_call_and_returns_its_connection() {
    let database = Database::new();
    let sessions = Blocking::from(database.store_with(Postgres::builder().pool_size(1)));
    let runtime = runtime();
    let key = runtime.block_on(sessions.generate(Some("1"), None)).unwrap();
    for number in 2..7 {
        let (start, started) = channel();
        let (go_on, goes_on) = channel();
        let updating = sessions.clone();
        let task = runtime.spawn(async move {
            let change = move |_| {
                start.send(()).unwrap();
                goes_on.recv().unwrap();
                Ok::<_, Error>(number.to_string())
            };
            updating.update(&key, Expiry::Default, change).await
        });
        started.recv_timeout(LATE).unwrap();
        task.abort();
        assert!(runtime.block_on(task).unwrap_err().is_cancelled());
        go_on.send(()).unwrap();
        let (value, _left) = runtime.block_on(sessions.get(&key)).unwrap();
        assert_eq!(value, number.to_string());
    }
}

/// A call that has not begun is never made.
#[test]
fn a_future_that_is_dropped_before_its_turn_does_nothing() {
    let sessions = Blocking::new(MemorySession::new(), 1);
    let runtime = runtime();
    let key = runtime.block_on(sessions.generate(Some("1"), None)).unwrap();
    let (start, started) = channel();
    let (go_on, goes_on) = channel::<()>();
    let updating = sessions.clone();
    let first = runtime.spawn(async move {
        let change = move |_| {
            start.send(()).unwrap();
            goes_on.recv().unwrap();
            Ok::<_, Error>("2".to_owned())
        };
        updating.update(&key, Expiry::Default, change).await
    });
    started.recv_timeout(LATE).unwrap();
    let setting = sessions.clone();
    let second = runtime.spawn(async move { setting.set(&key, "lost", None).await });
    second.abort();
    assert!(runtime.block_on(second).unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    assert_eq!(runtime.block_on(first).unwrap().unwrap(), "2");
    assert_eq!(runtime.block_on(sessions.get(&key)).unwrap().0, "2");
}

/// The runtime's only thread serves other tasks while a call waits for the database.
#[test]
fn a_call_that_waits_blocks_no_other_task() {
    let sessions = Blocking::new(MemorySession::new(), 1);
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let key = sessions.generate(None, None).await.unwrap();
        let (go_on, goes_on) = channel();
        let update = sessions.update(&key, Expiry::Default, move |_| {
            goes_on.recv_timeout(LATE).map_err(|_| Error::NotSet)?;
            Ok::<_, Error>("x".to_owned())
        });
        let other = async {
            // This line would never run if the update blocked the thread.
            yield_now().await;
            go_on.send(()).unwrap();
        };
        assert_eq!(tokio::join!(update, other).0.unwrap(), "x");
    });
}

/// No call with a deadline takes one of tokio's blocking threads, which a silent server could use up. Here tokio has one,
/// and it is in use.
#[test]
fn a_call_with_a_deadline_takes_none_of_tokios_threads() {
    let database = Database::new();
    let sessions = Blocking::from(database.store_with(Postgres::builder().pool_size(1)));
    let runtime = Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (free, is_free) = channel::<()>();
        let busy = tokio::task::spawn_blocking(move || is_free.recv());
        let key = sessions.generate(Some("x"), None).await.unwrap();
        sessions.set(&key, "y", None).await.unwrap();
        // One of these waits for the pool's connection, which the other one has.
        let held = sessions.store().pool().get().unwrap();
        let waiting = tokio::spawn({
            let sessions = sessions.clone();
            async move { sessions.get(&key).await }
        });
        yield_now().await;
        drop(held);
        assert_eq!(waiting.await.unwrap().unwrap().0, "y");
        free.send(()).unwrap();
        busy.await.unwrap().unwrap();
    });
}

/// Resumes a server when a test is over, so that no call waits for it any longer.
struct Paused(Server);

impl Drop for Paused {
    fn drop(&mut self) {
        let _ended = self.0.resume();
    }
}

/// Waits until calls have all connections.
async fn in_use(sessions: &Blocking<Postgres>) {
    let started = Instant::now();
    while sessions.store().pool().state().idle_connections > 0 {
        assert!(started.elapsed() < LATE, "the calls do not begin");
        yield_now().await;
    }
}

/// The deadlines of calls hold, whether their callers wait for them or leave. Then the turn passes to another call.
#[test]
fn calls_to_a_server_that_no_longer_answers_end_in_time() {
    let second = TimeDelta::seconds(1);
    for stays in [true, false] {
        let runtime = runtime();
        let mut server = Paused(Server::start(&[]).unwrap());
        let builder = Postgres::builder().connection_timeout(second).statement_timeout(second).pool_size(2);
        let store = builder.connect(&server.0.url("postgres")).unwrap();
        store.migrate().unwrap();
        let sessions = Blocking::from(store.clone());
        let key = runtime.block_on(sessions.generate(Some("x"), None)).unwrap();
        drop([(); 2].map(|()| store.pool().get().unwrap()));
        server.0.pause().unwrap();
        runtime.block_on(async {
            let started = Instant::now();
            let calls = [(); 2].map(|()| {
                let sessions = sessions.clone();
                tokio::spawn(async move { sessions.get(&key).await })
            });
            in_use(&sessions).await;
            for call in calls {
                if stays {
                    let late = call.await.unwrap();
                    assert!(matches!(late, Err(Error::ServerTimeout { .. })), "{late:?}");
                    assert!(started.elapsed() >= Duration::from_secs(2));
                } else {
                    call.abort();
                    assert!(call.await.unwrap_err().is_cancelled());
                }
            }
            // The first ones give up their turns after two seconds. The store has another pool by then, which gets no
            // connection. Before, the call waits for its turn.
            while sessions.store().pool().state().connections > 0 {
                assert!(started.elapsed() < LATE, "no other pool");
                sleep(Duration::from_millis(10)).await;
            }
            let late = sessions.get(&key).await;
            let Err(Error::PoolTimeout { source, .. }) = late else { panic!("{late:?}") };
            assert!(!source.to_string().contains("as many calls"), "{source}");
            assert!(started.elapsed() < LATE);
        });
        server.0.resume().unwrap();
        assert_eq!(runtime.block_on(sessions.get(&key)).unwrap().0, "x");
    }
}

/// The runtime waits for its blocking threads when it ends. None of them waits for the server.
#[test]
fn a_runtime_ends_although_a_server_no_longer_answers() {
    let mut server = Paused(Server::start(&[]).unwrap());
    let store = Postgres::builder().pool_size(1).connect(&server.0.url("postgres")).unwrap();
    store.migrate().unwrap();
    let sessions = Blocking::from(store);
    let runtime = runtime();
    let key = runtime.block_on(sessions.generate(Some("x"), None)).unwrap();
    server.0.pause().unwrap();
    let calling = sessions.clone();
    let call = runtime.spawn(async move { calling.get(&key).await });
    runtime.block_on(in_use(&sessions));
    assert!(!call.is_finished());
    let (ended, has_ended) = channel();
    thread::spawn(move || {
        drop(runtime);
        ended.send(()).unwrap();
    });
    has_ended.recv_timeout(LATE).unwrap();
}
