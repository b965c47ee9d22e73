//! The lines of `docs/scaling.md` that distribute a table.

use diesel_session::{Now as _, SessionKey, Sessions as _};

use crate::cluster::Distributed;
use crate::support::{Postgres, Sql as _};

#[test]
fn every_session_is_found_after_its_table_is_distributed() {
    let mut keys: Vec<SessionKey> = Vec::new();
    let table = Distributed::out_of(|store| {
        for n in 0..500 {
            keys.push(store.generate_for("alice", Some(&n.to_string()), None).unwrap());
        }
    });
    let store = table.store(Postgres::builder());
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(store.get(key).unwrap().0, n.to_string());
    }
    assert_eq!(store.count().unwrap().live, 500);
    assert_eq!(store.sessions_of("alice", 1000).unwrap().len(), 500);
    let mut conn = table.conn();
    assert_eq!(conn.number("SELECT pg_relation_size('session')"), 0, "the coordinator's copy is still there");
    assert_eq!(store.clear_owner("alice", None).unwrap(), 500);
    assert_eq!(conn.number("SELECT count(*) FROM session"), 0);
}
