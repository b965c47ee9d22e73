//! Any store in asynchronous programs: every law, and the properties of the futures.

use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::{Connection as _, Instrumentation, InstrumentationEvent};
use diesel_session::{AsyncNow, AsyncSessions, Blocking, Error, Expiry, MemorySession, TimeDelta};

use throwaway_postgres::Server;
use tokio::runtime::Builder;

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
            tokio::task::yield_now().await;
            go_on.send(()).unwrap();
        };
        assert_eq!(tokio::join!(update, other).0.unwrap(), "x");
    });
}

/// Records the names of the threads that run statements.
struct Threads(Arc<Mutex<BTreeSet<String>>>);

impl Instrumentation for Threads {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { .. } = event {
            self.0.lock().unwrap().insert(thread::current().name().unwrap().to_owned());
        }
    }
}

/// A call with a deadline takes one thread besides the caller's. Only an update takes two, because its function runs on
/// the first one.
#[test]
fn a_call_waits_for_the_database_on_tokios_thread() {
    let database = Database::new();
    let store = database.store_with(Postgres::builder().pool_size(1));
    let threads = Arc::new(Mutex::new(BTreeSet::new()));
    store.pool().get().unwrap().set_instrumentation(Threads(Arc::clone(&threads)));
    let sessions = Blocking::from(store.clone());
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("tokio's").enable_time().build();
    runtime.unwrap().block_on(async {
        let key = sessions.generate(Some("x"), None).await.unwrap();
        sessions.set(&key, "y", None).await.unwrap();
        assert_eq!(sessions.get(&key).await.unwrap().0, "y");
    });
    assert_eq!(*threads.lock().unwrap(), BTreeSet::from(["tokio's".to_owned()]));
}

/// The deadlines of calls hold, whether their callers wait for them or leave. Then the turn passes to another call.
#[test]
fn calls_to_a_server_that_no_longer_answers_end_in_time() {
    let second = TimeDelta::seconds(1);
    for stays in [true, false] {
        let mut server = Server::start(&[]).unwrap();
        let builder = Postgres::builder().connection_timeout(second).statement_timeout(second).pool_size(2);
        let store = builder.connect(&server.url("postgres")).unwrap();
        store.migrate().unwrap();
        let sessions = Blocking::from(store.clone());
        let runtime = runtime();
        let key = runtime.block_on(sessions.generate(Some("x"), None)).unwrap();
        let both = || [(); 2].map(|()| store.pool().get().unwrap());
        drop(both());
        server.pause().unwrap();
        runtime.block_on(async {
            let started = Instant::now();
            for call in [(); 2].map(|()| tokio::spawn({ let sessions = sessions.clone(); async move { sessions.get(&key).await } })) {
                if stays {
                    let late = call.await.unwrap();
                    assert!(matches!(late, Err(Error::ServerTimeout { .. })), "{late:?}");
                    assert!(started.elapsed() >= Duration::from_secs(2));
                } else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    call.abort();
                    assert!(call.await.unwrap_err().is_cancelled());
                }
            }
            // The turn of the first ones is over after two seconds. The store has another pool by then, which gets no
            // connection.
            tokio::time::sleep(Duration::from_secs(2)).await;
            let late = sessions.get(&key).await;
            assert!(matches!(&late, Err(Error::PoolTimeout { source, .. }) if !source.to_string().contains("as many calls")), "{late:?}");
            assert!(started.elapsed() < LATE);
        });
        server.resume().unwrap();
        assert_eq!(runtime.block_on(sessions.get(&key)).unwrap().0, "x");
    }
}
