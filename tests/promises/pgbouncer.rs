//! The store behind a real PgBouncer in transaction mode.

use std::thread;

use diesel::prelude::*;
use diesel_session::{Error, Expiry, Now, OwnerLimit, Sessions};
use throwaway_postgres::{PgBouncer, Server};

use crate::support::{Postgres, Sql};

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
    through.set_prepared_statement_cache_size(diesel::connection::CacheSize::Disabled);
    for _ in 0..20 {
        assert_eq!(through.number("SELECT count(*) FROM pg_prepared_statements"), 0);
        assert_eq!(through.number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0);
    }
}
