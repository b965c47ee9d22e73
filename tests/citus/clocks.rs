//! Promises that hold even if the workers' clocks are wrong. A row that is live by the coordinator's clock is deleted
//! only by a call that asks for its end. A row that is dead by it never comes back.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Double, Nullable, Text};
use diesel_session::{Error, Expiry, Now as _, OwnerLimit, SessionKey, Sessions as _};

use crate::cluster::{Distributed, documented};
use crate::support::{Postgres, Sql as _};

/// Minutes until a session expires, or since it expired. They cover the hour, and clocks that are hours wrong in either
/// direction.
const MINUTES: [i64; 10] = [1, 10, 50, 70, 110, 130, 170, 190, 290, 600];

/// Makes every row older than the rows that follow, by more than the column's precision of ten milliseconds.
const AGE: &str = "UPDATE session SET created_on = (created_on AT TIME ZONE 'UTC' - interval '1 second') AT TIME ZONE 'UTC'";

/// Sessions for each step. Their random keys spread them over the shards.
const EACH: usize = 8;

#[derive(QueryableByName)]
struct Worker {
    #[diesel(sql_type = Text)]
    node: String,
    #[diesel(sql_type = Nullable<Double>)]
    seconds_ahead: Option<f64>,
}

/// Runs the query of `docs/scaling.md`, but asks each worker for `what`.
fn workers(table: &Distributed, what: &str) -> Vec<Worker> {
    let query = documented("SELECT nodename").replace("'SELECT clock_timestamp()'", &format!("'{what}'"));
    let workers: Vec<Worker> = sql_query(format!(
        "SELECT nodename || ':' || nodeport AS node, extract(epoch FROM ahead)::float8 AS seconds_ahead \
         FROM ({}) AS skew ORDER BY node",
        query.trim_end().trim_end_matches(';')
    ))
    .load(&mut table.conn())
    .unwrap();
    assert!(!workers.is_empty(), "a cluster has workers");
    workers
}

/// Returns the seconds by which each worker's clock is ahead of the coordinator's.
fn skews(table: &Distributed) -> Vec<f64> {
    let skew = |worker: Worker| worker.seconds_ahead.expect("each worker can be reached");
    workers(table, "SELECT clock_timestamp()").into_iter().map(skew).collect()
}

fn hours_apart(skews: &[f64]) -> bool {
    skews.iter().any(|seconds| seconds.abs() >= 3600.0)
}

/// Creates sessions that expire after so many minutes by the coordinator's clock. If `minutes` is negative, they
/// expired so long ago.
fn generate(store: &Postgres, minutes: i64) -> Vec<SessionKey> {
    let owner = if minutes > 0 { "living" } else { "dead" };
    let period = Some(TimeDelta::minutes(minutes));
    (0..EACH).map(|_| store.generate_for(owner, Some(&minutes.to_string()), period).unwrap()).collect()
}

/// Returns the rows that meet `condition`, as one text.
fn rows(conn: &mut PgConnection, condition: &str) -> String {
    let rows = "coalesce(string_agg(concat_ws(' ', session_key, created_on, expire_date, owner, session_data), ', ' ORDER BY session_key), '')";
    conn.text(&format!("SELECT {rows} FROM session WHERE {condition}"))
}

#[test]
fn every_workers_clock_can_be_read() {
    let table = Distributed::new();
    for Worker { node, seconds_ahead } in workers(&table, "SELECT clock_timestamp()") {
        let seconds_ahead = seconds_ahead.expect("each worker can be reached");
        println!("{node} is {seconds_ahead:.3} s ahead of the coordinator");
    }
    let are_apart = hours_apart(&skews(&table));
    if !are_apart {
        println!("NO CLOCK IS AN HOUR OFF: what holds whatever they say is not tried by what follows");
    }
    // `./scripts/citus clocks` asks for a cluster with such clocks. The laws need one whose clocks agree.
    assert!(are_apart || std::env::var_os("CITUS_CLOCKS_APART").is_none());
}

#[test]
fn a_worker_that_gives_no_answer_has_no_skew() {
    let table = Distributed::new();
    assert!(workers(&table, "SELECT 1 / 0").iter().all(|worker| worker.seconds_ahead.is_none()));
}

#[test]
fn no_row_that_is_live_by_the_coordinators_clock_is_swept() {
    let table = Distributed::new();
    let store = table.store(Postgres::builder());
    for minutes in MINUTES {
        generate(&store, minutes);
        generate(&store, -minutes);
    }
    let mut conn = table.conn();
    let living = rows(&mut conn, "owner = 'living'");
    // The batch is smaller than the number of dead rows, so a wrong choice of rows would show.
    while store.delete_expired(25).unwrap() > 0 {}
    assert!(rows(&mut conn, "owner = 'living'") == living, "a live session was swept");
    // A row is gone if it is dead by every clock and its hour is over by every clock.
    let slowest = skews(&table).into_iter().fold(0.0, f64::min);
    let dead_for_all = format!(
        "SELECT count(*) FROM session WHERE owner = 'dead' AND session_data::float8 * 60 < {slowest} - 3600"
    );
    assert_eq!(conn.number(&dead_for_all), 0);
}

#[test]
fn no_row_that_is_dead_by_the_coordinators_clock_is_revived() {
    let table = Distributed::new();
    for store in [
        table.store(Postgres::builder()),
        table.store(Postgres::builder().max_lifetime(TimeDelta::days(30)).touch_interval(TimeDelta::zero())),
    ] {
        let mut conn = table.conn();
        for minutes in MINUTES {
            for key in generate(&store, -minutes) {
                let before = rows(&mut conn, "owner = 'dead'");
                let is_not_found = |error: Option<Error>| matches!(error, Some(Error::NotFound));
                let period = TimeDelta::days(1);
                let later = Expiry::After(period);
                assert!(is_not_found(store.set(&key, "x", Some(period)).err()));
                assert!(is_not_found(store.update(&key, later, |_| Ok::<_, Error>("x".to_owned())).err()));
                assert!(is_not_found(store.bind(&key, "living").err()));
                assert!(is_not_found(store.rotate(&key).err()));
                // `touch` and `replace` ask a worker whether the session exists, so only the lack of a write is
                // certain.
                assert!(!matches!(store.touch(&key, later), Ok(true)));
                assert!(store.replace(&key, Some(&(-minutes).to_string()), "x", later).is_err());
                // The same in a transaction of the caller's.
                conn.transaction(|conn| {
                    assert!(is_not_found(store.on(conn).put(&key, "x", later).err()));
                    assert!(!matches!(store.on(conn).touch(&key, later), Ok(true)));
                    assert!(is_not_found(store.on(conn).rotate(&key).err()));
                    QueryResult::Ok(())
                })
                .unwrap();
                assert_eq!(rows(&mut conn, "owner = 'dead'"), before);
            }
        }
        assert_eq!(conn.number("SELECT count(*) FROM session WHERE owner = 'living'"), 0);
    }
}

#[test]
fn a_row_that_is_live_by_the_coordinators_clock_can_be_written() {
    let table = Distributed::new();
    let store = table.store(Postgres::builder());
    let mut conn = table.conn();
    for minutes in MINUTES {
        for key in generate(&store, minutes) {
            store.set(&key, "written", Some(TimeDelta::minutes(minutes))).unwrap();
            let key = store.rotate(&key).unwrap();
            store.bind(&key, "bound").unwrap();
            assert!(store.touch(&key, Expiry::After(TimeDelta::days(1))).unwrap());
        }
    }
    let expected = i64::try_from(MINUTES.len() * EACH).unwrap();
    let written = "SELECT count(*) FROM session WHERE session_data = 'written' AND owner = 'bound'";
    assert_eq!(conn.number(written), expected);
    assert_eq!(conn.number("SELECT count(*) FROM session WHERE session_key > repeat('#', 40)"), expected);
    assert_eq!(conn.number("SELECT count(*) FROM session"), 2 * expected);
}

#[test]
fn clear_owner_ends_every_session_that_is_live_by_the_coordinators_clock() {
    let table = Distributed::new();
    let store = table.store(Postgres::builder());
    let mut conn = table.conn();
    for minutes in MINUTES {
        generate(&store, minutes);
        for key in generate(&store, -minutes) {
            // The session is dead before and after, so it does not count.
            assert!(store.bind(&key, "living").is_err());
        }
    }
    conn.run("UPDATE session SET owner = 'living'");
    let dead = rows(&mut conn, "session_data LIKE '-%'");
    let mine = store.generate_for("living", Some("mine"), None).unwrap();
    assert_eq!(store.clear_owner("living", Some(&mine)).unwrap(), MINUTES.len() * EACH);
    assert_eq!(
        conn.text("SELECT string_agg(session_data, '') FROM session WHERE session_data NOT LIKE '-%'"),
        "mine"
    );
    assert!(!dead.is_empty());
    assert_eq!(rows(&mut conn, "session_data LIKE '-%'"), "");
    assert_eq!(store.clear_owner("living", None).unwrap(), 1);
    assert_eq!(store.clear_owner("living", None).unwrap(), 0);
}

#[test]
fn an_owner_limit_counts_the_sessions_that_are_live_by_the_coordinators_clock() {
    let table = Distributed::new();
    let store = table.store(Postgres::builder());
    let mut conn = table.conn();
    let ended = table.store(Postgres::builder().owner_limit(OwnerLimit::EndOldest(2)));
    let refused = table.store(Postgres::builder().owner_limit(OwnerLimit::Refuse(2)));
    for minutes in MINUTES {
        let owner = minutes.to_string();
        let login = |minutes: i64| {
            store.generate_for(&owner, Some(&minutes.to_string()), Some(TimeDelta::minutes(minutes)))
        };
        // The oldest session is dead, the next is live, and the newest is dead. A wrong clock might count the dead
        // ones.
        for minutes in [-minutes, minutes, -minutes] {
            login(minutes).unwrap();
            conn.run(AGE);
        }
        let of_owner = format!(
            "SELECT string_agg(session_data, ' ' ORDER BY created_on) FROM session WHERE owner = '{owner}' AND session_data NOT LIKE '-%'"
        );
        refused.generate_for(&owner, Some("second"), Some(TimeDelta::minutes(minutes))).unwrap();
        conn.run(AGE);
        assert_eq!(conn.text(&of_owner), format!("{minutes} second"), "two may live");
        assert!(
            matches!(refused.generate_for(&owner, None, None), Err(Error::OwnerLimit { .. })),
            "{minutes}"
        );
        ended.generate_for(&owner, Some("third"), None).unwrap();
        assert_eq!(conn.text(&of_owner), "second third", "the oldest has ended, and it alone");
    }
}
