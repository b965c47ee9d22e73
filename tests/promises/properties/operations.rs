//! Random sequences of operations.

use chrono::TimeDelta;
use diesel_session::{Error, MemorySession, Now, SessionKey};
use proptest::prelude::*;

use super::holds_for;
use crate::support::{Database, MariaDb, Mysql, Postgres, Sqlite};

#[derive(Debug, Clone)]
enum Step {
    Generate(Option<String>, Option<TimeDelta>),
    Get(usize),
    Set(usize, String, Option<TimeDelta>),
    Clear(usize),
    SetDefaultPeriod(TimeDelta),
}

/// What a caller sees, except for the key. The remaining time is rounded to half hours.
#[derive(Debug, PartialEq)]
enum Seen {
    Done,
    Value(String, i64),
    NotFound,
    NotSet,
    ValueRefused,
    PeriodRefused,
}

fn seen<T>(result: Result<T, Error>, value: impl FnOnce(T) -> Seen) -> Seen {
    match result {
        Ok(output) => value(output),
        Err(Error::NotFound) => Seen::NotFound,
        Err(Error::NotSet) => Seen::NotSet,
        Err(Error::ValueHasNul { .. }) => Seen::ValueRefused,
        Err(Error::PeriodOutOfRange { .. }) => Seen::PeriodRefused,
        Err(other) => panic!("{other}"),
    }
}

fn play<S>(store: &S, steps: &[Step]) -> Vec<Seen>
where
    S: Now<Key = SessionKey, Value = str, Period = TimeDelta, Error = Error>,
{
    let mut keys: Vec<SessionKey> = Vec::new();
    let key = |keys: &[SessionKey], at: usize| {
        if keys.is_empty() { "k".repeat(40).parse().unwrap() } else { keys[at % keys.len()] }
    };
    steps
        .iter()
        .map(|step| match step.clone() {
            Step::Generate(value, expiry) => seen(store.generate(value.as_deref(), expiry), |key| {
                keys.push(key);
                Seen::Done
            }),
            Step::Get(at) => seen(store.get(&key(&keys, at)), |(value, left)| {
                Seen::Value(value, (left.num_seconds() + 900) / 1_800)
            }),
            Step::Set(at, value, expiry) => seen(store.set(&key(&keys, at), &value, expiry), |()| Seen::Done),
            Step::Clear(at) => seen(store.clear(&key(&keys, at)), |()| Seen::Done),
            Step::SetDefaultPeriod(period) => seen(store.set_default_period(period), |()| Seen::Done),
        })
        .collect()
}

fn period() -> impl Strategy<Value = TimeDelta> {
    prop_oneof![
        Just(TimeDelta::zero()),
        Just(TimeDelta::MAX),
        (-100_i64..100).prop_map(|hours| TimeDelta::minutes(hours * 60)),
        (-1_000_000_i64..1_000_000).prop_map(TimeDelta::days),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = || any::<String>();
    let expiry = || proptest::option::of(period());
    let step = prop_oneof![
        3 => (proptest::option::of(value()), expiry()).prop_map(|(value, expiry)| Step::Generate(value, expiry)),
        4 => any::<usize>().prop_map(Step::Get),
        4 => (any::<usize>(), value(), expiry()).prop_map(|(at, value, expiry)| Step::Set(at, value, expiry)),
        1 => any::<usize>().prop_map(Step::Clear),
        1 => period().prop_map(Step::SetDefaultPeriod),
    ];
    proptest::collection::vec(step, 1..30)
}

#[test]
fn any_sequence_of_operations_has_the_same_results_in_memory_and_on_each_database() {
    let database = Database::new();
    let postgres = Postgres::builder().test_transaction(&database.url).unwrap();
    let sqlite = Sqlite::builder().test_transaction(":memory:").unwrap();
    let mariadb = MariaDb::new();
    let mysql = Mysql::builder().test_transaction(&mariadb.url).unwrap();
    holds_for(300, [], steps(), |steps| {
        let week = TimeDelta::weeks(1);
        postgres.set_default_period(week).unwrap();
        sqlite.set_default_period(week).unwrap();
        mysql.set_default_period(week).unwrap();
        let expected = play(&MemorySession::new(), &steps);
        prop_assert_eq!(&play(&sqlite, &steps), &expected);
        prop_assert_eq!(&play(&postgres, &steps), &expected);
        prop_assert_eq!(&play(&mysql, &steps), &expected);
        Ok(())
    });
}
