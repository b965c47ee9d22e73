//! Values and owners, and the sessions beside them.

use chrono::TimeDelta;
use diesel_session::{MemorySession, Now, SessionKey};
use proptest::prelude::*;

use super::{corpus, holds_for};
use crate::support::{Database, Postgres, Sqlite, Store};

#[test]
fn any_value_without_nul_comes_back_byte_for_byte() {
    let database = Database::new();
    let postgres = Postgres::builder().test_transaction(&database.url).unwrap();
    let sqlite = Sqlite::builder().test_transaction(":memory:").unwrap();
    holds_for(500, corpus("values"), any::<String>(), |value| {
        let value = value.replace('\0', "");
        for store in [&postgres as &dyn Now<Key = _, Value = _, Period = _, Error = _>, &sqlite] {
            let key: SessionKey = store.generate(Some(&value), None).unwrap();
            prop_assert_eq!(&store.get(&key).unwrap().0, &value);
            let reversed: String = value.chars().rev().collect();
            store.set(&key, &reversed, None).unwrap();
            let (read, _): (String, TimeDelta) = store.get(&key).unwrap();
            prop_assert_eq!(read, reversed);
        }
        Ok(())
    });
}

#[test]
fn any_owner_is_one_owner_and_no_other() {
    let database = Database::new();
    let postgres = Postgres::builder().test_transaction(&database.url).unwrap();
    let sqlite = Sqlite::builder().test_transaction(":memory:").unwrap();
    let owner = || any::<String>().prop_map(|owner| owner.replace(['\0', '\u{1}'], ""));
    let known = corpus("values").into_iter().flat_map(|owner| {
        let others = [format!("{owner} "), owner.to_uppercase(), format!("{owner}'"), String::from("alice")];
        others.map(|other| (owner.clone(), other))
    });
    holds_for(300, known, (owner(), owner()), |(owner, other)| {
        if owner.len().max(other.len()) <= 255 && owner != other {
            owns_alone(&postgres, &owner, &other)?;
            owns_alone(&sqlite, &owner, &other)?;
            owns_alone(&MemorySession::new(), &owner, &other)?;
        }
        Ok(())
    });
}

fn owns_alone(store: &impl Store, owner: &str, other: &str) -> Result<(), TestCaseError> {
    let key = store.generate_for(owner, Some(owner), None).unwrap();
    let beside = store.generate_for(other, Some(other), None).unwrap();
    let found = store.find(&key).unwrap().owner;
    prop_assert_eq!(found.as_deref(), Some(owner));
    prop_assert_eq!(store.sessions_of(owner, 100).unwrap().len(), 1);
    prop_assert!(!store.clear_listed(owner, &store.handle(&beside)).unwrap());
    prop_assert_eq!(store.clear_owner(owner, None).unwrap(), 1);
    prop_assert_eq!(&store.get(&beside).unwrap().0, other);
    prop_assert_eq!(store.clear_owner(other, None).unwrap(), 1);
    Ok(())
}
