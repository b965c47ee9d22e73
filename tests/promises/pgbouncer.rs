//! The store behind a real PgBouncer in transaction mode.

use std::thread;

use diesel::prelude::*;
use diesel_session::Now;
use throwaway_postgres::{PgBouncer, Server};

use crate::support::{Postgres, Sql};

#[test]
fn many_clients_share_few_connections_and_leave_no_prepared_statement() {
    let server = Server::start(&[]).unwrap();
    let bouncer = PgBouncer::start(&server, &["pool_mode = transaction", "default_pool_size = 2"]).unwrap();
    let store = Postgres::builder().pgbouncer(true).connect(&bouncer.url("postgres")).unwrap();
    store.migrate().unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let key = store.generate(Some("x".to_owned()), None).unwrap();
                    store.set(&key, "y".to_owned(), None).unwrap();
                    assert_eq!(store.get(&key).unwrap().0, "y");
                    store.clear(&key).unwrap();
                }
            });
        }
    });
    let mut through = PgConnection::establish(&bouncer.url("postgres")).unwrap();
    through.set_prepared_statement_cache_size(diesel::connection::CacheSize::Disabled);
    for _ in 0..20 {
        assert_eq!(through.number("SELECT count(*) FROM pg_prepared_statements"), 0);
    }
}
