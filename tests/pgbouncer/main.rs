//! The asynchronous store behind a PgBouncer that keeps prepared statements, 1.21 or later. `NEW_PGBOUNCER` names its
//! program: see `scripts/pgbouncer`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for whoever asks with --nocapture")]

use std::path::PathBuf;
use std::time::Instant;

use diesel::prelude::*;
use diesel_session::{
    AsyncBuilder, AsyncDieselSession, AsyncNow as _, AsyncSessions as _, Error, Expiry, OwnerLimit, TimeDelta,
};
use throwaway_postgres::{PgBouncer, Server};

#[allow(dead_code, reason = "other tests need the rest")]
#[path = "../promises/support.rs"]
mod support;
#[allow(dead_code, reason = "other tests need the rest")]
#[path = "../promises/waiting.rs"]
mod waiting;

use support::Sql as _;
use waiting::runtime;

fn program() -> PathBuf {
    let named = std::env::var_os("NEW_PGBOUNCER");
    named.expect("NEW_PGBOUNCER names a PgBouncer, 1.21 or later: scripts/pgbouncer builds one").into()
}

const TRANSACTION: &str = "pool_mode = transaction";
const KEEPS: &str = "max_prepared_statements = 200";

fn bouncer(server: &Server, settings: &[&str]) -> PgBouncer {
    PgBouncer::start_program(&program(), server, settings).unwrap()
}

mod laws {
    use std::sync::LazyLock;

    use diesel_session::{AsyncBuilder, AsyncDieselSession, OwnerLimit};
    use throwaway_postgres::{PgBouncer, Server};

    use super::{KEEPS, TRANSACTION, bouncer};
    use crate::support::{Database, bounded};
    use crate::waiting::{Waiting, made};

    static POOLER: LazyLock<(PgBouncer, Server)> = LazyLock::new(|| {
        let server = Server::start(&[]).unwrap();
        let settings = [TRANSACTION, KEEPS, "default_pool_size = 2", "server_round_robin = 1"];
        (bouncer(&server, &settings), server)
    });

    /// Checks a law on a store behind the pooler. The database is created and dropped directly at the server.
    fn hold(settings: AsyncBuilder, law: impl FnOnce(&Waiting<AsyncDieselSession>)) {
        let (bouncer, server) = &*POOLER;
        let database = Database::on(&server.url("postgres"));
        law(&made(async {
            let store = settings.connect(&bouncer.url(database.name())).await.unwrap();
            store.migrate().await.unwrap();
            store
        }));
    }

    fn with_store(law: impl FnOnce(&Waiting<AsyncDieselSession>)) {
        hold(AsyncDieselSession::builder(), law);
    }

    fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Waiting<AsyncDieselSession>)) {
        hold(bounded(limit), law);
    }

    diesel_session::conformance_tests!(with_store);
    diesel_session::sessions_conformance_tests!(with_store, with_bounds);
}

/// 64 tasks prepare their statements on 20 connections to the pooler, which share 3 connections to the server.
#[test]
fn many_clients_share_few_connections_and_leave_no_setting_and_no_lock() {
    under_load("each read alone", AsyncDieselSession::builder);
}

#[test]
fn many_clients_with_shared_reads_share_few_connections_and_leave_no_setting_and_no_lock() {
    under_load("four connections for reads", || AsyncDieselSession::builder().pipelined(4));
}

fn under_load(reads: &str, builder: impl Fn() -> AsyncBuilder) {
    const TASKS: usize = 64;
    const ROUNDS: usize = 60;
    let server = Server::start(&[]).unwrap();
    for round_robin in ["server_round_robin = 0", "server_round_robin = 1"] {
        let bouncer = bouncer(&server, &[TRANSACTION, KEEPS, "default_pool_size = 3", round_robin]);
        runtime().block_on(async {
            let builder = builder().owner_limit(OwnerLimit::EndOldest(3)).pool_size(20);
            // On two cores, 64 tasks are slow.
            let builder = builder.connection_timeout(TimeDelta::seconds(60));
            let sessions = builder.connect(&bouncer.url("postgres")).await.unwrap();
            sessions.migrate().await.unwrap();
            let started = Instant::now();
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| {
                    let sessions = sessions.clone();
                    tokio::spawn(async move {
                        for _ in 0..ROUNDS {
                            let key = sessions.generate(Some("x"), None).await.unwrap();
                            sessions.set(&key, "y", None).await.unwrap();
                            assert_eq!(sessions.get(&key).await.unwrap().0, "y");
                            let change = |_| Ok::<_, Error>("z".to_owned());
                            sessions.update(&key, Expiry::Default, change).await.unwrap();
                            let key = sessions.rotate(&key).await.unwrap();
                            sessions.bind(&key, &format!("owner {task}")).await.unwrap();
                            assert_eq!(sessions.get(&key).await.unwrap().0, "z");
                            sessions.clear(&key).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let (calls, took) = (TASKS * ROUNDS * 8, started.elapsed());
            println!("{reads}, {round_robin}: {calls} calls of {TASKS} tasks, no error, in {took:?}");
        });
        let mut direct = PgConnection::establish(&server.url("postgres")).unwrap();
        let through = "backend_type = 'client backend' AND pid <> pg_backend_pid()";
        assert_eq!(direct.number(&format!("SELECT count(*) FROM pg_stat_activity WHERE {through}")), 3);
        let mut through = PgConnection::establish(&bouncer.url("postgres")).unwrap();
        for _ in 0..20 {
            assert_eq!(through.text("current_setting('statement_timeout')"), "0");
            assert_eq!(through.number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0);
        }
    }
}

#[test]
fn a_pooler_that_keeps_no_prepared_statements_is_refused() {
    let server = Server::start(&[]).unwrap();
    for size in ["default_pool_size = 1", "default_pool_size = 20"] {
        let bouncer = bouncer(&server, &[TRANSACTION, "max_prepared_statements = 0", size]);
        let refused = runtime().block_on(AsyncDieselSession::connect(&bouncer.url("postgres")));
        assert!(matches!(refused, Err(Error::TransactionPooler)), "{refused:?}");
    }
}

#[test]
fn a_schema_setting_is_refused_in_transaction_mode_only() {
    let server = Server::start(&[]).unwrap();
    let connect = |bouncer: &PgBouncer| {
        let builder = AsyncDieselSession::builder().schema("shop");
        runtime().block_on(builder.connect(&bouncer.url("postgres")))
    };
    let refused = connect(&bouncer(&server, &[TRANSACTION, KEEPS]));
    assert!(matches!(refused, Err(Error::Configuration { setting: "schema", .. })), "{refused:?}");
    connect(&bouncer(&server, &["pool_mode = session", KEEPS])).unwrap();
}
