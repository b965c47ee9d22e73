//! A new key for the same session.

use chrono::TimeDelta;

use super::{is_about, text, unusable_keys};
use crate::error::Error;
use crate::session::Expiry;
use crate::sessions::Sessions;

/// The value and the expiry are the same under the new key.
pub fn rotate_keeps_value_and_expiry(store: &impl Sessions) -> Result<(), Error> {
    let old = store.generate(Some("cart=3"), Some(TimeDelta::hours(1)))?;
    let new = store.rotate(&old)?;
    assert_ne!(new, old);
    let (value, left) = store.get(&new)?;
    assert_eq!(value, "cart=3");
    assert!(is_about(left, TimeDelta::hours(1)));
    Ok(())
}

/// A session without a value has none under its new key.
pub fn rotate_keeps_a_session_unset(store: &impl Sessions) -> Result<(), Error> {
    let new = store.rotate(&store.generate(None, None)?)?;
    assert!(matches!(store.get(&new), Err(Error::NotSet)));
    Ok(())
}

/// The owner and the time of creation stay the same. The handle changes with the key.
pub fn rotate_keeps_the_owner_and_the_time_of_creation(store: &impl Sessions) -> Result<(), Error> {
    let old = store.generate_for("alice", None, None)?;
    let before = store.sessions_of("alice", 100)?;
    let new = store.rotate(&old)?;
    let after = store.sessions_of("alice", 100)?;
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_eq!((before[0].created, before[0].expires), (after[0].created, after[0].expires));
    assert_eq!((before[0].handle, after[0].handle), (store.handle(&old), store.handle(&new)));
    assert_ne!(before[0].handle, after[0].handle);
    Ok(())
}

/// The old key is dead for every later operation, another rotation included.
pub fn rotate_kills_the_old_key(store: &impl Sessions) -> Result<(), Error> {
    let old = store.generate(Some("x"), None)?;
    let new = store.rotate(&old)?;
    assert!(matches!(store.get(&old), Err(Error::NotFound)));
    assert!(matches!(store.rotate(&old), Err(Error::NotFound)));
    assert!(matches!(store.touch(&old, Expiry::Default), Err(Error::NotFound)));
    assert!(matches!(store.bind(&old, "alice"), Err(Error::NotFound)));
    assert!(matches!(
        store.update(&old, Expiry::Default, |_| Ok::<_, Error>(text("y"))),
        Err(Error::NotFound)
    ));
    assert!(matches!(store.replace(&old, Some("x"), "y", Expiry::Default), Err(Error::NotFound)));
    assert!(matches!(store.set(&old, "y", None), Err(Error::NotFound)));
    assert_eq!(store.get(&new)?.0, "x", "and none of that touched the session");
    Ok(())
}

/// A logout with a key that was rotated in between ends the session, even after several rotations.
pub fn clear_with_an_older_key_ends_the_session(store: &impl Sessions) -> Result<(), Error> {
    let oldest = store.generate(Some("x"), None)?;
    let older = store.rotate(&oldest)?;
    let newest = store.rotate(&older)?;
    assert_eq!(store.get(&newest)?.0, "x");
    store.clear(&oldest)?;
    assert!(matches!(store.get(&newest), Err(Error::NotFound)));
    assert_eq!(store.count()?.live, 0);
    Ok(())
}

/// The row that a rotation leaves behind is not a session: it is not counted, and it has no owner.
pub fn rotate_leaves_nothing_that_counts(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate_for("alice", Some("x"), None)?;
    let key = store.rotate(&store.rotate(&key)?)?;
    let count = store.count()?;
    assert_eq!((count.live, count.expired), (1, 0));
    assert_eq!(store.sessions_of("alice", 100)?.len(), 1);
    assert_eq!(store.clear_owner("alice", Some(&key))?, 0);
    assert_eq!(store.clear_owner("alice", None)?, 1);
    assert_eq!(store.count()?.live, 0);
    Ok(())
}

/// `rotate` on an unknown, cleared or expired session returns *not found*, and creates no session.
pub fn rotate_never_creates_nor_revives(store: &impl Sessions) -> Result<(), Error> {
    for key in unusable_keys(store)? {
        assert!(matches!(store.rotate(&key), Err(Error::NotFound)));
    }
    assert_eq!(store.count()?.live, 0);
    Ok(())
}
