//! Many threads on one pool.

use std::collections::HashMap;
use std::thread;

use chrono::TimeDelta;
use diesel_session::{Error, Now, SessionKey};

use crate::support::{Database, File, MariaDb};

/// Runs eight threads, each with its own sessions, and checks the answer of every operation.
fn hammer<S>(store: &S)
where
    S: Now<Key = SessionKey, Value = str, Period = TimeDelta, Error = Error> + Sync,
{
    let live: Vec<(SessionKey, String)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u32)
            .map(|thread| {
                scope.spawn(move || {
                    let mut sessions: HashMap<SessionKey, String> = HashMap::new();
                    for step in 0..2_000_u32 {
                        let any = sessions.keys().next().copied();
                        match (step % 5, any) {
                            (0, _) | (_, None) => {
                                let value = format!("{thread} {step}");
                                let key = store.generate(Some(&value), None).unwrap();
                                assert!(sessions.insert(key, value).is_none());
                            }
                            (1 | 2, Some(key)) => assert_eq!(store.get(&key).unwrap().0, sessions[&key]),
                            (3, Some(key)) => {
                                let value = format!("{thread} {step}");
                                store.set(&key, &value, None).unwrap();
                                sessions.insert(key, value);
                            }
                            (_, Some(key)) if step % 2 == 0 => {
                                store.clear(&key).unwrap();
                                sessions.remove(&key);
                                assert!(matches!(store.get(&key), Err(Error::NotFound)));
                            }
                            (_, Some(key)) => assert_eq!(store.get(&key).unwrap().0, sessions[&key]),
                        }
                    }
                    sessions
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(live.len() > 1_000);
    for (key, value) in live {
        assert_eq!(store.get(&key).unwrap().0, value);
    }
}

#[test]
fn eight_threads_of_two_thousand_operations_lose_nothing_on_postgres() {
    let database = Database::new();
    hammer(&database.store());
}

#[test]
fn eight_threads_of_two_thousand_operations_lose_nothing_on_sqlite() {
    let file = File::new();
    hammer(&file.store());
}

#[test]
fn eight_threads_of_two_thousand_operations_lose_nothing_on_mariadb() {
    let database = MariaDb::new();
    hammer(&database.store());
}
