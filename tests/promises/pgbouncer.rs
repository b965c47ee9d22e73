//! The stores behind the real PgBouncer of Debian 12, which keeps no prepared statements.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::connection::{CacheSize, SimpleConnection as _};
use diesel::prelude::*;
use diesel_session::{
    AsyncDieselSession, AsyncNow as _, ConnectOptions, Error, Expiry, Now, OwnerLimit, Sessions,
};
use throwaway_postgres::{PgBouncer, Server};

use crate::support::{Postgres, Sql, shown};
use crate::waiting::runtime;

#[test]
fn many_clients_share_few_connections_and_leave_no_prepared_statement() {
    let server = Server::start(&[]).unwrap();
    let settings = ["pool_mode = transaction", "default_pool_size = 2", "server_round_robin = 1"];
    let bouncer = PgBouncer::start(&server, &settings).unwrap();
    let builder = Postgres::builder().pgbouncer(true).owner_limit(OwnerLimit::EndOldest(3));
    let store = builder.connect(&bouncer.url("postgres")).unwrap();
    store.migrate().unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let key = store.generate(Some("x"), None).unwrap();
                    store.set(&key, "y", None).unwrap();
                    assert_eq!(store.get(&key).unwrap().0, "y");
                    store.update(&key, Expiry::Default, |_| Ok::<_, Error>("z".to_owned())).unwrap();
                    let key = store.rotate(&key).unwrap();
                    store.bind(&key, "alice").unwrap();
                    store.clear(&key).unwrap();
                }
            });
        }
    });
    let mut through = PgConnection::establish(&bouncer.url("postgres")).unwrap();
    through.set_prepared_statement_cache_size(CacheSize::Disabled);
    for _ in 0..20 {
        assert_eq!(through.number("SELECT count(*) FROM pg_prepared_statements"), 0);
        assert_eq!(through.number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0);
    }
}

/// Returns settings for each way in which PgBouncer can lend its connections: few or many, the last one used or the
/// first.
fn in_transaction_mode() -> impl Iterator<Item = Vec<String>> {
    let settings = |size, round_robin| {
        vec![
            "pool_mode = transaction".to_owned(),
            format!("default_pool_size = {size}"),
            format!("server_round_robin = {round_robin}"),
        ]
    };
    [1, 2, 20].into_iter().flat_map(move |size| [0, 1].map(|round_robin| settings(size, round_robin)))
}

fn bouncer(server: &Server, settings: &[String]) -> PgBouncer {
    PgBouncer::start(server, &settings.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_transaction_pooler_that_loses_prepared_statements_is_refused_at_connect() {
    let server = Server::start(&[]).unwrap();
    for settings in in_transaction_mode() {
        let bouncer = bouncer(&server, &settings);
        for _ in 0..5 {
            let started = Instant::now();
            let refused = runtime().block_on(AsyncDieselSession::connect(&bouncer.url("postgres")));
            let took = started.elapsed();
            let error = refused.unwrap_err();
            assert!(matches!(error, Error::TransactionPooler), "{settings:?}: {}", shown(&error));
            assert!(!error.is_transient() && took < Duration::from_secs(2), "{took:?}");
        }
        leaves_nothing(&bouncer);
    }
}

/// Checks that the connections that the pooler lends next hold no prepared statement.
fn leaves_nothing(bouncer: &PgBouncer) {
    let mut through = PgConnection::establish(&bouncer.url("postgres")).unwrap();
    through.set_prepared_statement_cache_size(CacheSize::Disabled);
    for _ in 0..20 {
        assert_eq!(through.number("SELECT count(*) FROM pg_prepared_statements"), 0);
    }
}

/// Other clients use the pooler's connections, so chance decides which one a client gets.
#[test]
fn a_transaction_pooler_is_refused_under_load() {
    let server = Server::start(&[]).unwrap();
    for settings in in_transaction_mode() {
        let bouncer = bouncer(&server, &settings);
        let refused = while_others_use(&bouncer, 0.001, || {
            [(); 5]
                .map(|()| runtime().block_on(AsyncDieselSession::connect(&bouncer.url("postgres"))).map(drop))
        });
        let all = refused.iter().all(|refused| matches!(refused, Err(Error::TransactionPooler)));
        assert!(all, "{settings:?}: {refused:?}");
    }
}

/// Each transaction then waits for those of the other clients, for most of a second.
#[test]
fn a_transaction_pooler_that_answers_late_is_refused() {
    let server = Server::start(&[]).unwrap();
    let bouncer = PgBouncer::start(&server, &["pool_mode = transaction", "default_pool_size = 1"]).unwrap();
    let refused = while_others_use(&bouncer, 0.05, || {
        let builder = AsyncDieselSession::builder().connection_timeout(TimeDelta::seconds(60));
        runtime().block_on(builder.connect(&bouncer.url("postgres"))).map(drop)
    });
    assert!(matches!(refused, Err(Error::TransactionPooler)), "{refused:?}");
}

/// Runs a function while eight clients run transactions of so many seconds through the pooler.
///
/// A client that fails connects again. If a client leaves early, this PgBouncer can send its answer to the next client:
/// see `docs/upstream.md`.
fn while_others_use<T>(bouncer: &PgBouncer, seconds: f64, run: impl FnOnce() -> T) -> T {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let connect = || PgConnection::establish(&bouncer.url("postgres")).unwrap();
                let mut conn = connect();
                while !ended.load(Ordering::Relaxed) {
                    let ran = conn.batch_execute(&format!("BEGIN; SELECT pg_sleep({seconds}); COMMIT"));
                    if ran.is_err() {
                        conn = connect();
                    }
                }
            });
        }
        let ran = run();
        ended.store(true, Ordering::Relaxed);
        ran
    })
}

/// `connect` does not detect the pooler, because it does not wait for the server. The first call does.
#[test]
fn a_store_that_does_not_wait_for_the_server_refuses_the_pooler_at_its_first_call() {
    let server = Server::start(&[]).unwrap();
    for settings in in_transaction_mode() {
        let bouncer = bouncer(&server, &settings);
        let options: ConnectOptions = bouncer.url("postgres").parse().unwrap();
        runtime().block_on(async {
            let builder = AsyncDieselSession::builder();
            let sessions = builder.connect_with(&options.startonly(true)).await.unwrap();
            for _ in 0..3 {
                let refused = sessions.generate(Some("x"), None).await;
                assert!(matches!(refused, Err(Error::TransactionPooler)), "{settings:?}: {refused:?}");
            }
        });
    }
}

/// Such a pooler ends each connection that begins a transaction.
#[test]
fn a_statement_pooler_is_refused_at_connect() {
    let server = Server::start(&[]).unwrap();
    let bouncer = PgBouncer::start(&server, &["pool_mode = statement"]).unwrap();
    let builder = AsyncDieselSession::builder().connection_timeout(TimeDelta::seconds(1));
    let refused = runtime().block_on(builder.connect(&bouncer.url("postgres")));
    assert!(matches!(refused, Err(Error::PoolTimeout { .. })), "{refused:?}");
}

#[test]
fn a_session_pooler_and_a_direct_server_are_accepted() {
    let server = Server::start(&[]).unwrap();
    serves(&server.url("postgres"), 8);
    for size in [1, 2, 20] {
        for round_robin in [0, 1] {
            let settings = [
                "pool_mode = session".to_owned(),
                format!("default_pool_size = {size}"),
                format!("server_round_robin = {round_robin}"),
            ];
            serves(&bouncer(&server, &settings).url("postgres"), size.min(8));
        }
    }
}

/// Uses a store with `size` connections from several tasks at once.
fn serves(url: &str, size: u32) {
    runtime().block_on(async {
        let builder = AsyncDieselSession::builder().pool_size(size).connection_timeout(TimeDelta::seconds(3));
        let sessions = builder.connect(url).await.unwrap();
        sessions.migrate().await.unwrap();
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let sessions = sessions.clone();
                tokio::spawn(async move {
                    for _ in 0..20 {
                        let key = sessions.generate(Some("x"), None).await.unwrap();
                        assert_eq!(sessions.get(&key).await.unwrap().0, "x");
                    }
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
    });
}

/// If a role may have only one connection, the store cannot open a second one to look at the pooler.
#[test]
fn a_server_that_takes_one_connection_serves_a_store_of_one() {
    let server = Server::start(&[]).unwrap();
    let mut admin = PgConnection::establish(&server.url("postgres")).unwrap();
    admin.run("CREATE ROLE app LOGIN CONNECTION LIMIT 1; GRANT ALL ON SCHEMA public TO app");
    let url = server.url("postgres").replace("postgres@", "app@");
    serves(&url, 1);
}

/// The first is Prisma's spelling of our setting, which Supabase's pages also use.
#[test]
fn parameters_of_other_clients_get_an_error_that_names_our_setting() {
    for (parameter, ours) in [
        ("pgbouncer=true", "Builder::pgbouncer(true)"),
        ("pgbouncer=true", "max_prepared_statements"),
        ("statement_cache_size=0", "Builder::pgbouncer(true)"),
        ("connection_limit=1", "Builder::pool_size"),
        ("pool_timeout=20", "Builder::connection_timeout"),
        ("socket_timeout=20", "Builder::statement_timeout"),
        ("schema=shop", "Builder::schema"),
        ("sslaccept=strict", "sslmode=verify-full"),
    ] {
        let url = format!("postgres://app:secret@db.example/shop?sslmode=require&{parameter}");
        let blocking = Postgres::builder().connect(&url).map(drop);
        let asynchronous = runtime().block_on(AsyncDieselSession::connect(&url)).map(drop);
        for refused in [blocking, asynchronous] {
            let error = refused.unwrap_err();
            assert!(matches!(error, Error::Configuration { .. }), "{parameter}: {}", shown(&error));
            let said = error.to_string();
            assert!(said.contains(ours), "{parameter}: {said}");
            assert!(
                !["secret", "shop?", "db.example", "app"].iter().any(|part| said.contains(part)),
                "{said}"
            );
        }
    }
}
