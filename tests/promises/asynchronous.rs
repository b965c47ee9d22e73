//! The asynchronous store: every law over a pool, with shared connections, and in a caller's transaction.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Instant;

use chrono::TimeDelta;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::bb8::{Pool, PooledConnection};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use diesel_session::{
    AsyncBuilder, AsyncDieselSession, AsyncNow, AsyncPool, AsyncSessions, Error, Expiry, Now as _, OwnerLimit,
};
use futures_util::FutureExt as _;
use tokio::task::yield_now;

use crate::support::{Database, LATE, Sql as _, WAITERS};
use crate::waiting::runtime;

mod pool {
    use diesel_session::{AsyncDieselSession, OwnerLimit};

    use crate::support::{Database, bounded};
    use crate::waiting::{Waiting, made};

    fn with_store(law: impl FnOnce(&Waiting<AsyncDieselSession>)) {
        let database = Database::new();
        law(&made(database.async_store_with(AsyncDieselSession::builder())));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Waiting<AsyncDieselSession>)) {
        let database = Database::new();
        law(&made(database.async_store_with(bounded(limit))));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod pipelined {
    use diesel_session::{AsyncDieselSession, OwnerLimit};

    use crate::support::{Database, bounded};
    use crate::waiting::{Waiting, made};

    fn with_store(law: impl FnOnce(&Waiting<AsyncDieselSession>)) {
        let database = Database::new();
        law(&made(database.async_store_with(AsyncDieselSession::builder().pipelined(2))));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Waiting<AsyncDieselSession>)) {
        let database = Database::new();
        law(&made(database.async_store_with(bounded(limit).pipelined(2))));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod partitioned {
    use diesel_session::{AsyncDieselSession, OwnerLimit};

    use crate::support::{Database, bounded};
    use crate::waiting::{Waiting, made};

    fn with_store(law: impl FnOnce(&Waiting<AsyncDieselSession>)) {
        let database = Database::partitioned();
        law(&made(database.async_store_with(AsyncDieselSession::builder())));
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Waiting<AsyncDieselSession>)) {
        let database = Database::partitioned();
        law(&made(database.async_store_with(bounded(limit))));
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

mod in_one_transaction {
    use diesel_async::AsyncConnection as _;
    use diesel_session::{AsyncBuilder, AsyncDieselSession, AsyncOnConnection, AsyncPool as _, OwnerLimit};

    use crate::support::{Database, bounded};
    use crate::waiting::{Waiting, made, waiting};

    fn begun(settings: AsyncBuilder, law: impl FnOnce(&Waiting<AsyncOnConnection<'_>>)) {
        let database = Database::new();
        let store = made(database.async_store_with(settings));
        let mut conn = store.block_on(async {
            let mut conn = store.store().pool().connection().await.unwrap();
            conn.begin_test_transaction().await.unwrap();
            conn
        });
        law(&waiting(store.store().on(&mut conn)));
    }

    fn with_store(law: impl FnOnce(&Waiting<AsyncOnConnection<'_>>)) {
        begun(AsyncDieselSession::builder(), law);
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Waiting<AsyncOnConnection<'_>>)) {
        begun(bounded(limit), law);
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

/// A pool of a type that the store does not know. It lends no more connections than its limit.
#[derive(Clone)]
struct Another(Pool<AsyncPgConnection>);

impl AsyncPool for Another {
    type Connection = PooledConnection<'static, AsyncPgConnection>;
    type Error = diesel_async::pooled_connection::bb8::RunError;

    async fn connection(&self) -> Result<Self::Connection, Self::Error> {
        self.0.get_owned().await
    }

    fn size(&self) -> u32 {
        self.0.config().max_size
    }
}

async fn applications_pool(url: &str, size: u32) -> Pool<AsyncPgConnection> {
    let manager = AsyncDieselConnectionManager::new(url);
    Pool::builder().max_size(size).test_on_check_out(false).build(manager).await.unwrap()
}

#[test]
fn a_store_works_over_the_applications_pool_and_over_any_other() {
    let database = Database::new();
    runtime().block_on(async {
        let pool = applications_pool(&database.url, 3).await;
        let sessions = AsyncDieselSession::new(pool.clone());
        assert!(sessions.migrate().await.unwrap() > 0);
        sessions.check().await.unwrap();
        let key = sessions.generate(Some("x"), None).await.unwrap();
        let others = AsyncDieselSession::builder().pipelined(1).over(Another(pool)).unwrap();
        assert_eq!(others.get(&key).await.unwrap().0, "x");
        others.set(&key, "y", None).await.unwrap();
        assert_eq!(sessions.get(&key).await.unwrap().0, "y");
    });
}

#[test]
fn the_blocking_and_the_asynchronous_store_share_one_table() {
    let database = Database::new();
    let blocking = database.store();
    let key = blocking.generate(Some("x"), None).unwrap();
    runtime().block_on(async {
        let sessions = AsyncDieselSession::connect(&database.url).await.unwrap();
        assert_eq!(sessions.migrate().await.unwrap(), 0);
        assert_eq!(sessions.get(&key).await.unwrap().0, "x");
        sessions.clear(&key).await.unwrap();
    });
    assert!(matches!(blocking.get(&key), Err(Error::NotFound)));
}

#[test]
fn the_asynchronous_store_runs_the_migrations_of_the_blocking_store() {
    let database = Database::new();
    runtime().block_on(async {
        let builder = || AsyncDieselSession::builder().schema("Visitors' own");
        let sessions = builder().connect(&database.url).await.unwrap();
        let missing = sessions.check().await.unwrap_err();
        assert!(matches!(missing, Error::Migration(_)), "{missing:?}");
        let migrating = (0..8).map(|_| {
            let sessions = sessions.clone();
            tokio::spawn(async move { sessions.migrate().await.unwrap() })
        });
        let mut runs = Vec::new();
        for run in migrating.collect::<Vec<_>>() {
            runs.push(run.await.unwrap());
        }
        runs.sort_unstable();
        assert!(runs[7] > 0 && runs[..7].iter().all(|run| *run == 0), "{runs:?}");
        sessions.check().await.unwrap();
        sessions.generate(None, None).await.unwrap();
    });
    let there = "SELECT count(*) FROM \"Visitors' own\".session";
    assert_eq!(database.conn().number(there), 1);
}

#[test]
fn a_rollback_of_the_callers_transaction_undoes_the_stores_changes() {
    let database = Database::new();
    runtime().block_on(async {
        let sessions = database.async_store_with(AsyncDieselSession::builder()).await;
        let key = sessions.generate(Some("x"), None).await.unwrap();
        let mut conn = sessions.pool().connection().await.unwrap();
        let undone = conn
            .transaction(async |conn| {
                sessions.on(conn).set(&key, "y", None).await?;
                let missing = sessions.on(conn).get(&"A".repeat(40).parse()?).await;
                assert!(matches!(missing, Err(Error::NotFound)));
                assert_eq!(sessions.on(conn).get(&key).await?.0, "y");
                Err::<(), Error>(Error::Changed)
            })
            .await;
        assert!(matches!(undone, Err(Error::Changed)));
        assert_eq!(sessions.get(&key).await.unwrap().0, "x");
    });
}

/// An update that is dropped while it reads or locks writes nothing. One that is dropped while it writes may have
/// written, as any write. None leaves a transaction, a lock or a lent connection.
#[test]
fn a_future_that_is_dropped_leaves_nothing_behind() {
    let database = Database::new();
    let other = database.store();
    runtime().block_on(async {
        let sessions = database.async_store_with(AsyncDieselSession::builder().pool_size(2)).await;
        let key = sessions.generate(Some("x"), None).await.unwrap();
        for (round, waits_to) in ["read", "write", "lock"].repeat(2).into_iter().enumerate() {
            // A late write of the round before finds another value than it has read.
            let before = round.to_string();
            other.set(&key, &before, None).unwrap();
            let locker = Arc::new(Mutex::new(database.conn()));
            let lock = |tables: &str| locker.lock().unwrap().run(&format!("BEGIN; {tables}"));
            match waits_to {
                "read" => lock("LOCK TABLE session"),
                "write" => lock("SELECT FROM session FOR UPDATE"),
                _ => {}
            }
            let (updating, overtaking, held, last) =
                (sessions.clone(), other.clone(), locker.clone(), before.clone());
            let mut runs = 0;
            let change = move |_| {
                runs += 1;
                if waits_to == "lock" {
                    // After the second conflict, the update locks the session.
                    overtaking.set(&key, if runs == 1 { "overtaken" } else { &last }, None)?;
                    if runs == 2 {
                        held.lock().unwrap().run("BEGIN; SELECT FROM session FOR UPDATE");
                    }
                }
                Ok::<_, Error>("y".to_owned())
            };
            let task = tokio::spawn(async move { updating.update(&key, Expiry::Default, change).await });
            // The task blocks this thread while it runs its function.
            while database.conn().number(WAITERS) == 0 {
                yield_now().await;
            }
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            locker.lock().unwrap().run("ROLLBACK");
            let (value, _) = sessions.get(&key).await.unwrap();
            assert!(value == before || waits_to == "write" && value == "y", "{waits_to}: {value}");
        }
        sessions.set(&key, "z", None).await.unwrap();
        assert_eq!(sessions.get(&key).await.unwrap().0, "z");
        // A dropped call goes on for a moment.
        let started = Instant::now();
        let is_back = || {
            let lent = sessions.pool().status();
            lent.size == lent.available
        };
        while !is_back() {
            assert!(started.elapsed() < LATE, "a connection is still in use");
            yield_now().await;
        }
    });
}

/// A dropped write still runs to its end, and no other call waits for it.
#[test]
fn a_dropped_write_does_not_hold_up_other_calls() {
    let database = Database::new();
    let mut locker = database.conn();
    runtime().block_on(async {
        let sessions = database.async_store_with(AsyncDieselSession::builder().pool_size(2)).await;
        let [held, other] = [(); 2].map(|()| sessions.generate(Some("x"), None));
        let (held, other) = (held.await.unwrap(), other.await.unwrap());
        locker.run("BEGIN; SELECT FROM session FOR UPDATE");
        let setting = sessions.clone();
        let task = tokio::spawn(async move { setting.set(&held, "y", None).await });
        locker.wait_for_a_waiter();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        for _ in 0..20 {
            assert_eq!(sessions.get(&other).await.unwrap().0, "x");
        }
        assert_eq!(locker.number(WAITERS), 1, "it waits still, and nobody else does");
        locker.run("COMMIT");
        let value = async || sessions.get(&held).await.unwrap().0;
        let started = Instant::now();
        while value().await != "y" {
            assert!(started.elapsed() < LATE, "what began is done");
            yield_now().await;
        }
    });
}

/// Polls a future `polls` times, and then drops it.
async fn dropped_after<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = Some(Box::pin(work));
    let mut polled = 0;
    poll_fn(move |context| {
        let Some(pending) = &mut work else { return Poll::Ready(None) };
        if polled == polls {
            work = None;
            return Poll::Ready(None);
        }
        polled += 1;
        pending.as_mut().poll(context).map(Some)
    })
    .await
}

/// Drops a login after each number of polls. The changes of the caller's transaction are there if and only if it could
/// be committed.
#[test]
fn a_dropped_login_in_a_callers_transaction_never_loses_changes_silently() {
    let database = Database::new();
    runtime().block_on(async {
        let builder = AsyncDieselSession::builder().pool_size(3).owner_limit(OwnerLimit::EndOldest(2));
        let sessions = database.async_store_with(builder).await;
        let key = sessions.generate(Some("before"), None).await.unwrap();
        let (mut dropped, mut done) = (0, 0);
        for polls in 1..40 {
            let value = polls.to_string();
            let mut conn = sessions.pool().connection().await.unwrap();
            // A transaction manager that was left half way causes an error, or in a debug build a panic.
            let caller = AssertUnwindSafe(conn.transaction(async |conn| {
                sessions.on(conn).set(&key, &value, None).await?;
                let login = dropped_after(polls, sessions.on(conn).generate_for("alice", None, None)).await;
                if login.is_some() {
                    done += 1;
                } else {
                    dropped += 1;
                }
                Ok::<_, Error>(())
            }));
            let committed = matches!(caller.catch_unwind().await, Ok(Ok(())));
            drop(conn);
            assert_eq!(sessions.get(&key).await.unwrap().0 == value, committed, "after {polls} polls");
            assert!(sessions.sessions_of("alice", 100).await.unwrap().len() <= 2);
        }
        assert!(dropped > 3 && done > 3, "{dropped} dropped, {done} done");
    });
}

/// Otherwise its COMMIT would end only a savepoint, and still report success.
#[test]
fn a_callers_transaction_in_which_an_update_was_dropped_cannot_commit() {
    let database = Database::new();
    let mut locker = database.conn();
    runtime().block_on(async {
        let sessions = database.async_store_with(AsyncDieselSession::builder()).await;
        let [held, other] = [(); 2].map(|()| sessions.generate(Some("x"), None));
        let (held, other) = (held.await.unwrap(), other.await.unwrap());
        sessions.bind(&held, "held").await.unwrap();
        locker.run("BEGIN; SELECT FROM session WHERE owner = 'held' FOR UPDATE");
        let mut conn = sessions.pool().connection().await.unwrap();
        let committed = conn
            .transaction(async |conn| {
                sessions.on(conn).set(&other, "y", None).await?;
                let on = sessions.on(conn);
                let update = on.update(&held, Expiry::Default, |_| Ok::<_, Error>("y".to_owned()));
                // Polls the update until it waits for the lock.
                let mut update = pin!(update);
                let waits = async {
                    while database.conn().number(WAITERS) == 0 {
                        yield_now().await;
                    }
                };
                tokio::select! {
                    updated = &mut update => panic!("{updated:?}"),
                    () = waits => {}
                }
                Ok::<_, Error>(())
            })
            .await;
        assert!(committed.is_err());
        drop(conn);
        locker.run("ROLLBACK");
        assert_eq!(sessions.get(&other).await.unwrap().0, "x");
    });
}

/// A write that waits for a lock does not delay reads, even if every connection that is not shared waits.
#[test]
fn reads_go_on_while_writes_wait_for_a_lock() {
    let database = Database::new();
    let mut locker = database.conn();
    runtime().block_on(async {
        let builder = AsyncDieselSession::builder().pool_size(3).pipelined(2);
        let sessions = database.async_store_with(builder).await;
        let key = sessions.generate(Some("x"), None).await.unwrap();
        // One of the two shared connections is open now. The writers take the rest of the pool.
        sessions.get(&key).await.unwrap();
        locker.run("BEGIN; SELECT FROM session FOR UPDATE");
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let sessions = sessions.clone();
                tokio::spawn(async move { sessions.set(&key, "y", None).await })
            })
            .collect();
        locker.wait_for_a_waiter();
        for _ in 0..100 {
            assert_eq!(sessions.get(&key).await.unwrap().0, "x");
        }
        locker.run("COMMIT");
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        assert_eq!(sessions.get(&key).await.unwrap().0, "y");
    });
}

#[test]
fn invalid_settings_are_refused() {
    let database = Database::new();
    runtime().block_on(async {
        fn refused<P: AsyncPool>(result: Result<AsyncDieselSession<P>, Error>) -> &'static str {
            match result.unwrap_err() {
                Error::Configuration { setting, .. } => setting,
                other => panic!("{other:?}"),
            }
        }
        let builder = AsyncBuilder::default;
        let url = &database.url;
        assert_eq!(refused(builder().pool_size(0).connect(url).await), "pool_size");
        assert_eq!(refused(builder().pool_size(2).pipelined(2).connect(url).await), "pipelined");
        assert_eq!(refused(builder().pipelined(0).connect(url).await), "pipelined");
        assert_eq!(refused(builder().connect("dbname=shop").await), "host");
        assert_eq!(refused(builder().connect("host=/tmp sslmode=nonsense").await), "sslmode");
        assert_eq!(refused(builder().connect("host=/tmp passfile=/x").await), "connection");
        assert_eq!(refused(builder().connect("nonsense").await), "conninfo");
        assert_eq!(refused(builder().connect("host=/tmp port=70000").await), "connection");
        assert_eq!(refused(builder().connect("host=a,b port=1,2,3").await), "host");
        assert_eq!(refused(builder().connect("host=a tcp_user_timeout=x").await), "tcp_user_timeout");
        let pool = applications_pool(url, 2).await;
        let builder = AsyncDieselSession::<Pool<AsyncPgConnection>>::builder;
        assert_eq!(refused(builder().pool_size(3).over(pool.clone())), "pool");
        assert_eq!(refused(builder().pipelined(2).over(pool.clone())), "pipelined");
        builder().statement_timeout(TimeDelta::seconds(1)).over(pool).unwrap();
    });
}

#[test]
fn connections_come_from_the_applications_factory() {
    let database = Database::new();
    let (made, makings) = channel();
    runtime().block_on(async {
        let builder = AsyncDieselSession::builder().establish_with(move |address| {
            made.send(()).unwrap();
            async move { AsyncPgConnection::establish(&address).await }
        });
        let sessions = database.async_store_with(builder).await;
        let key = sessions.generate(Some("x"), None).await.unwrap();
        assert_eq!(sessions.get(&key).await.unwrap().0, "x");
    });
    assert!(makings.try_iter().count() > 0);
}
