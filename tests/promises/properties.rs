//! Laws over inputs that nobody thought of.

use chrono::TimeDelta;
use diesel_session::{Error, MemorySession, Now, SessionKey};
use proptest::prelude::*;

use crate::support::{Database, Postgres, Sqlite};

#[derive(Debug, Clone)]
enum Step {
    Generate(Option<String>, Option<TimeDelta>),
    Get(usize),
    Set(usize, String, Option<TimeDelta>),
    Clear(usize),
    SetDefaultPeriod(TimeDelta),
}

/// What a caller sees, but for the key: how long is left to the nearest half hour.
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
    S: Now<Key = SessionKey, Value = String, Period = TimeDelta, Error = Error>,
{
    let mut keys: Vec<SessionKey> = Vec::new();
    let key = |keys: &[SessionKey], at: usize| {
        if keys.is_empty() { "k".repeat(40).parse().unwrap() } else { keys[at % keys.len()] }
    };
    steps
        .iter()
        .map(|step| match step.clone() {
            Step::Generate(value, expiry) => seen(store.generate(value, expiry), |key| {
                keys.push(key);
                Seen::Done
            }),
            Step::Get(at) => seen(store.get(&key(&keys, at)), |(value, left)| {
                Seen::Value(value, (left.num_seconds() + 900) / 1_800)
            }),
            Step::Set(at, value, expiry) => seen(store.set(&key(&keys, at), value, expiry), |()| Seen::Done),
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

fn cases(cases: u32) -> ProptestConfig {
    // A failure is printed with its smallest input: make that a test of its own.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn any_sequence_of_operations_reads_alike_in_memory_on_sqlite_and_on_postgres() {
    let database = Database::new();
    let postgres = Postgres::builder().test_transaction(&database.url).unwrap();
    let sqlite = Sqlite::builder().test_transaction(":memory:").unwrap();
    proptest!(cases(300), |(steps in steps())| {
        let week = TimeDelta::weeks(1);
        postgres.set_default_period(week).unwrap();
        sqlite.set_default_period(week).unwrap();
        let expected = play(&MemorySession::new(), &steps);
        prop_assert_eq!(&play(&sqlite, &steps), &expected);
        prop_assert_eq!(&play(&postgres, &steps), &expected);
    });
}

#[test]
fn any_text_as_a_key_is_not_found() {
    let database = Database::new();
    let postgres = Postgres::builder().test_transaction(&database.url).unwrap();
    let sqlite = Sqlite::builder().test_transaction(":memory:").unwrap();
    let text = prop_oneof![any::<String>(), "[A-Za-z0-9+/]{40}", "[A-Za-z0-9+/ $=_-]{39,41}", ".{40}"];
    proptest!(cases(500), |(text in text)| {
        match text.parse::<SessionKey>() {
            Err(error) => prop_assert!(matches!(error, Error::NotFound)),
            Ok(key) => {
                prop_assert!(matches!(postgres.get(&key), Err(Error::NotFound)));
                prop_assert!(matches!(sqlite.get(&key), Err(Error::NotFound)));
                prop_assert!(matches!(postgres.set(&key, String::new(), None), Err(Error::NotFound)));
                prop_assert!(matches!(sqlite.set(&key, String::new(), None), Err(Error::NotFound)));
                postgres.clear(&key).unwrap();
                sqlite.clear(&key).unwrap();
            }
        }
    });
}

#[test]
fn any_value_without_nul_comes_back_byte_for_byte() {
    let database = Database::new();
    let postgres = Postgres::builder().test_transaction(&database.url).unwrap();
    let sqlite = Sqlite::builder().test_transaction(":memory:").unwrap();
    proptest!(cases(500), |(value in any::<String>())| {
        let value = value.replace('\0', "");
        for store in [&postgres as &dyn Now<Key = _, Value = _, Period = _, Error = _>, &sqlite] {
            let key: SessionKey = store.generate(Some(value.clone()), None).unwrap();
            prop_assert_eq!(&store.get(&key).unwrap().0, &value);
            let reversed: String = value.chars().rev().collect();
            store.set(&key, reversed.clone(), None).unwrap();
            let (read, _): (String, TimeDelta) = store.get(&key).unwrap();
            prop_assert_eq!(read, reversed);
        }
    });
}
