//! Extends a session without a new value.

use chrono::TimeDelta;

use super::{is_about, is_absent, unusable_keys};
use crate::error::Error;
use crate::session::Expiry;
use crate::sessions::Sessions;

/// `touch` moves the expiry, counted from now, and leaves the value.
pub fn touch_prolongs_and_leaves_the_value(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("x"), Some(TimeDelta::minutes(10)))?;
    assert!(store.touch(&key, Expiry::After(TimeDelta::hours(1)))?);
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "x");
    assert!(is_about(left, TimeDelta::hours(1)));
    assert!(store.touch(&key, Expiry::Default)?, "without an expiry by the default period");
    assert!(is_about(store.get(&key)?.1, TimeDelta::weeks(1)));
    Ok(())
}

/// `touch` with an earlier expiry, or one in the past, changes nothing.
pub fn touch_never_shortens(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("x"), Some(TimeDelta::hours(1)))?;
    for expiry in [TimeDelta::minutes(10), TimeDelta::zero(), TimeDelta::days(-1)] {
        assert!(!store.touch(&key, Expiry::After(expiry))?);
        assert!(is_about(store.get(&key)?.1, TimeDelta::hours(1)));
    }
    Ok(())
}

/// For a long period, one minute is worth a write. For a short period, a tenth is. Less is not.
pub fn touch_writes_only_what_is_worth_it(store: &impl Sessions) -> Result<(), Error> {
    let long = TimeDelta::hours(10);
    let key = store.generate(Some("x"), Some(long))?;
    assert!(!store.touch(&key, Expiry::After(long + TimeDelta::seconds(30)))?);
    assert!(store.touch(&key, Expiry::After(long + TimeDelta::seconds(90)))?);
    let short = TimeDelta::minutes(5);
    let key = store.generate(Some("x"), Some(short))?;
    assert!(!store.touch(&key, Expiry::After(short + TimeDelta::seconds(5)))?);
    assert!(store.touch(&key, Expiry::After(short + TimeDelta::seconds(50)))?);
    Ok(())
}

/// A session without a value can be touched, and still has no value.
pub fn touch_needs_no_value(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(None, Some(TimeDelta::minutes(10)))?;
    assert!(store.touch(&key, Expiry::Default)?);
    assert!(matches!(store.get(&key), Err(Error::NotSet)));
    Ok(())
}

/// `touch` on an unknown, cleared or expired session returns *not found* and leaves it dead.
pub fn touch_never_revives(store: &impl Sessions) -> Result<(), Error> {
    for key in unusable_keys(store)? {
        assert!(matches!(store.touch(&key, Expiry::Default), Err(Error::NotFound)));
        assert!(is_absent(store, &key));
    }
    Ok(())
}
