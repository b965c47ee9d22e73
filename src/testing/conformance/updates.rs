//! Makes a value from the present one, with no other write in between.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::TimeDelta;

use super::{VALUE_LIMIT, is_about, is_absent, text, unusable_keys};
use crate::error::Error;
use crate::session::Expiry;
use crate::sessions::Sessions;

/// `update` gives the value to the function, writes the function's result, and returns it.
pub fn update_writes_what_the_function_makes(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("a"), Some(TimeDelta::minutes(10)))?;
    let made = store.update(&key, Expiry::After(TimeDelta::hours(1)), |value| {
        assert_eq!(value.as_deref(), Some("a"));
        Ok::<_, Error>(text("ab"))
    })?;
    assert_eq!(made, "ab");
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "ab");
    assert!(is_about(left, TimeDelta::hours(1)));
    store.update(&key, Expiry::Default, |_| Ok::<_, Error>(text("abc")))?;
    assert!(is_about(store.get(&key)?.1, TimeDelta::weeks(1)), "without an expiry by the default period");
    Ok(())
}

/// For a session without a value, the function gets `None`.
pub fn update_sets_a_session_without_a_value(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(None, None)?;
    store.update(&key, Expiry::Default, |value| {
        assert_eq!(value, None);
        Ok::<_, Error>(text("first"))
    })?;
    assert_eq!(store.get(&key)?.0, "first");
    Ok(())
}

/// If the function fails, its error comes back and nothing changes.
pub fn update_that_fails_changes_nothing(store: &impl Sessions) -> Result<(), Error> {
    #[derive(Debug)]
    enum Refusal {
        Mine(u8),
        Stores,
    }
    impl From<Error> for Refusal {
        fn from(_: Error) -> Self {
            Self::Stores
        }
    }
    let key = store.generate(Some("x"), Some(TimeDelta::minutes(10)))?;
    let refused = store.update(&key, Expiry::Default, |_| Err(Refusal::Mine(7)));
    assert!(matches!(refused, Err(Refusal::Mine(7))));
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "x");
    assert!(is_about(left, TimeDelta::minutes(10)));
    store.clear(&key)?;
    assert!(matches!(store.update(&key, Expiry::Default, |_| Err(Refusal::Mine(7))), Err(Refusal::Stores)));
    Ok(())
}

/// If the function panics, the panic continues, nothing changes, and the store still works.
pub fn update_that_panics_changes_nothing(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("x"), Some(TimeDelta::minutes(10)))?;
    for _ in 0..10 {
        let panicking =
            || store.update(&key, Expiry::Default, |_| -> Result<String, Error> { panic!("on purpose") });
        let panic = catch_unwind(AssertUnwindSafe(panicking)).expect_err("the panic goes on");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    }
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "x");
    assert!(is_about(left, TimeDelta::minutes(10)));
    store.update(&key, Expiry::Default, |_| Ok::<_, Error>(text("y")))?;
    assert_eq!(store.get(&key)?.0, "y");
    Ok(())
}

/// `update` refuses what `set` refuses, and the value stays.
pub fn update_refuses_what_no_database_holds(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("x"), None)?;
    let large = store.update(&key, Expiry::Default, |_| Ok::<_, Error>("v".repeat(VALUE_LIMIT + 1)));
    assert!(matches!(large, Err(Error::ValueTooLarge { .. })));
    let nul = store.update(&key, Expiry::Default, |_| Ok::<_, Error>(text("\0")));
    assert!(matches!(nul, Err(Error::ValueHasNul { position: 0 })));
    let far = store.update(&key, Expiry::After(TimeDelta::MAX), |_| Ok::<_, Error>(text("y")));
    assert!(matches!(far, Err(Error::PeriodOutOfRange { .. })));
    assert_eq!(store.get(&key)?.0, "x");
    Ok(())
}

/// `update` on an unknown, cleared or expired session returns *not found*, and never calls the function.
pub fn update_never_creates_nor_revives(store: &impl Sessions) -> Result<(), Error> {
    for key in unusable_keys(store)? {
        let updated = store
            .update(&key, Expiry::Default, |_| -> Result<String, Error> { panic!("asked for a dead one") });
        assert!(matches!(updated, Err(Error::NotFound)));
        assert!(is_absent(store, &key));
    }
    Ok(())
}

/// A session that expires while the function runs is not written.
pub fn update_never_revives_what_expired_meanwhile(store: &impl Sessions) -> Result<(), Error> {
    let mut period = TimeDelta::milliseconds(100);
    loop {
        let key = store.generate(Some("x"), Some(period))?;
        let mut was_asked = false;
        let updated = store.update(&key, Expiry::Default, |_| {
            was_asked = true;
            super::wait(period * 2);
            Ok::<_, Error>(text("y"))
        });
        assert!(matches!(updated, Err(Error::NotFound)));
        assert!(is_absent(store, &key));
        if was_asked {
            return Ok(());
        }
        // The session expired before `update` found it.
        period = period * 2;
    }
}

/// If the function of an update calls its own store, the call is refused at once, because it would wait for itself.
pub fn update_refuses_calls_by_its_own_function(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate_for("alice", Some("a"), None)?;
    let other = store.generate(Some("b"), None)?;
    let is_refused = |error: Option<Error>| matches!(error, Some(Error::WithinUpdate));
    let made = store.update(&key, Expiry::Keep, |value| {
        assert!(is_refused(store.get(&key).err()));
        assert!(is_refused(store.find(&other).err()));
        assert!(is_refused(store.put(&other, "c", Expiry::Keep).err()));
        assert!(is_refused(store.clear(&key).err()));
        assert!(is_refused(store.generate(None, None).err()));
        assert!(is_refused(store.clear_owner("alice", None).err()));
        let nested = store.update(&other, Expiry::Keep, |_| Ok::<_, Error>(text("d")));
        assert!(is_refused(nested.err()));
        Ok::<_, Error>(format!("{}a", value.unwrap_or_default()))
    })?;
    assert_eq!(made, "aa");
    let failed = store.update(&key, Expiry::Keep, |_| Ok::<_, Error>(store.get(&other)?.0));
    assert!(is_refused(failed.err()));
    assert_eq!((&*store.get(&key)?.0, &*store.get(&other)?.0), ("aa", "b"));
    Ok(())
}

/// `replace` writes value and expiry if the present value is the expected one.
pub fn replace_writes_over_the_expected_value(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("a"), None)?;
    store.replace(&key, Some("a"), "b", Expiry::After(TimeDelta::hours(1)))?;
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "b");
    assert!(is_about(left, TimeDelta::hours(1)));
    Ok(())
}

/// If another request changed the value, `replace` returns *changed* and leaves it.
pub fn replace_leaves_another_value(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("a"), Some(TimeDelta::hours(1)))?;
    for expected in [Some("A"), Some(""), Some("a "), None] {
        assert!(matches!(store.replace(&key, expected, "b", Expiry::Default), Err(Error::Changed)));
    }
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "a");
    assert!(is_about(left, TimeDelta::hours(1)));
    Ok(())
}

/// `replace` can also expect that there is no value yet, which is not the same as an empty value.
pub fn replace_can_expect_no_value(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(None, None)?;
    assert!(matches!(store.replace(&key, Some(""), "b", Expiry::Default), Err(Error::Changed)));
    store.replace(&key, None, "b", Expiry::Default)?;
    assert_eq!(store.get(&key)?.0, "b");
    Ok(())
}

/// `replace` on an unknown, cleared or expired session returns *not found* and leaves it dead.
pub fn replace_never_creates_nor_revives(store: &impl Sessions) -> Result<(), Error> {
    for key in unusable_keys(store)? {
        for expected in [Some("x"), None] {
            assert!(matches!(store.replace(&key, expected, "y", Expiry::Default), Err(Error::NotFound)));
        }
        assert!(is_absent(store, &key));
    }
    Ok(())
}
