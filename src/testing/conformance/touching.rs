//! A longer life without a new value.

use chrono::TimeDelta;

use super::{SessionsSubject, is_about, is_absent, text, unusable_keys};
use crate::error::Error;

/// `touch` moves the expiry away, counted from now, and leaves the value.
pub fn touch_prolongs_and_leaves_the_value(store: &impl SessionsSubject) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), Some(TimeDelta::minutes(10)))?;
    assert!(store.touch(&key, Some(TimeDelta::hours(1)))?);
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "x");
    assert!(is_about(left, TimeDelta::hours(1)));
    assert!(store.touch(&key, None)?, "without an expiry by the default period");
    assert!(is_about(store.get(&key)?.1, TimeDelta::weeks(1)));
    Ok(())
}

/// `touch` with a nearer expiry, or one in the past, changes nothing.
pub fn touch_never_shortens(store: &impl SessionsSubject) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), Some(TimeDelta::hours(1)))?;
    for expiry in [TimeDelta::minutes(10), TimeDelta::zero(), TimeDelta::days(-1)] {
        assert!(!store.touch(&key, Some(expiry))?);
        assert!(is_about(store.get(&key)?.1, TimeDelta::hours(1)));
    }
    Ok(())
}

/// Of a long period a minute is worth a write, of a short one a tenth, and less is not.
pub fn touch_writes_only_what_is_worth_it(store: &impl SessionsSubject) -> Result<(), Error> {
    let long = TimeDelta::hours(10);
    let key = store.generate(Some(text("x")), Some(long))?;
    assert!(!store.touch(&key, Some(long + TimeDelta::seconds(30)))?);
    assert!(store.touch(&key, Some(long + TimeDelta::seconds(90)))?);
    let short = TimeDelta::minutes(5);
    let key = store.generate(Some(text("x")), Some(short))?;
    assert!(!store.touch(&key, Some(short + TimeDelta::seconds(5)))?);
    assert!(store.touch(&key, Some(short + TimeDelta::seconds(50)))?);
    Ok(())
}

/// A session without a value can be touched, and stays unset.
pub fn touch_needs_no_value(store: &impl SessionsSubject) -> Result<(), Error> {
    let key = store.generate(None, Some(TimeDelta::minutes(10)))?;
    assert!(store.touch(&key, None)?);
    assert!(matches!(store.get(&key), Err(Error::NotSet)));
    Ok(())
}

/// `touch` on an unknown, cleared or expired session says so and leaves it dead.
pub fn touch_never_revives(store: &impl SessionsSubject) -> Result<(), Error> {
    for key in unusable_keys(store)? {
        assert!(matches!(store.touch(&key, None), Err(Error::NotFound)));
        assert!(is_absent(store, &key));
    }
    Ok(())
}
