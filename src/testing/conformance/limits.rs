//! Which values and periods a store holds, and which it refuses.

use chrono::TimeDelta;

use super::{LONGEST, Subject, VALUE_LIMIT, is_about, is_absent};
use crate::error::Error;
use crate::session::Expiry;
use crate::sessions::Sessions;

/// An empty value is a value. (session-postgresql took it for no value.)
pub fn an_empty_value_is_a_value(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(""), None)?;
    assert_eq!(store.get(&key)?.0, "");
    store.set(&key, "x", None)?;
    store.set(&key, "", None)?;
    assert_eq!(store.get(&key)?.0, "");
    Ok(())
}

/// Quotes, blanks, escapes and every script come back unchanged.
pub fn values_come_back_byte_for_byte(store: &impl Subject) -> Result<(), Error> {
    for value in [
        "'; DROP TABLE session; --",
        "  padded  ",
        "\\x00\t\r\n\u{1}",
        "%s $1 ?1 {}",
        "žluťoučký 馬 🐎 \u{feff}",
    ] {
        let key = store.generate(Some(value), None)?;
        assert_eq!(store.get(&key)?.0, value);
        store.set(&key, value, None)?;
        assert_eq!(store.get(&key)?.0, value);
    }
    Ok(())
}

/// A value with a NUL, which PostgreSQL's text cannot hold, is refused with the NUL's position. (session-postgresql cut
/// the value there.)
pub fn a_value_with_nul_is_refused_and_nothing_written(store: &impl Subject) -> Result<(), Error> {
    assert!(matches!(store.generate(Some("ab\0c"), None), Err(Error::ValueHasNul { position: 2 })));
    let key = store.generate(Some("x"), Some(TimeDelta::hours(1)))?;
    assert!(matches!(store.set(&key, "\0", None), Err(Error::ValueHasNul { position: 0 })));
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "x");
    assert!(left <= TimeDelta::hours(1));
    Ok(())
}

/// A value over the limit is refused with its size and the limit. A value at the limit is held.
pub fn a_value_over_the_limit_is_refused_and_nothing_written(store: &impl Subject) -> Result<(), Error> {
    let largest = "v".repeat(VALUE_LIMIT);
    let too_large = format!("{largest}v");
    let is_refused = |error: Option<Error>| matches!(error, Some(Error::ValueTooLarge { size, limit }) if size == VALUE_LIMIT + 1 && limit == VALUE_LIMIT);
    assert!(is_refused(store.generate(Some(&too_large), None).err()));
    let key = store.generate(Some(&largest), Some(TimeDelta::hours(1)))?;
    assert!(is_refused(store.set(&key, &too_large, None).err()));
    let (value, left) = store.get(&key)?;
    assert!(value == largest, "the value at the limit is held");
    assert!(left <= TimeDelta::hours(1));
    Ok(())
}

/// A period that databases cannot hold is refused with the limit. (session-postgresql returned raw errors of the
/// server.)
pub fn a_period_that_no_database_holds_is_refused_and_nothing_written(
    store: &impl Subject,
) -> Result<(), Error> {
    let key = store.generate(Some("x"), Some(TimeDelta::hours(1)))?;
    for period in [
        LONGEST + TimeDelta::microseconds(1),
        -LONGEST - TimeDelta::microseconds(1),
        TimeDelta::MAX,
        TimeDelta::MIN,
    ] {
        let is_refused = |error: Option<Error>| matches!(error, Some(Error::PeriodOutOfRange { period: asked, limit }) if asked == period && limit == LONGEST);
        assert!(is_refused(store.generate(None, Some(period)).err()));
        assert!(is_refused(store.set(&key, "y", Some(period)).err()));
    }
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "x");
    assert!(left <= TimeDelta::hours(1));
    Ok(())
}

/// A default period out of range is refused, and the old one stays.
pub fn set_default_period_refuses_what_no_database_holds(store: &impl Subject) -> Result<(), Error> {
    let refused = store.set_default_period(LONGEST + TimeDelta::seconds(1));
    assert!(matches!(refused, Err(Error::PeriodOutOfRange { .. })));
    assert_eq!(store.default_period(), TimeDelta::weeks(1));
    Ok(())
}

/// The longest periods, positive and negative, are held.
pub fn the_longest_periods_are_held(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some("x"), Some(LONGEST))?;
    assert!(is_about(store.get(&key)?.1, LONGEST));
    store.set(&key, "y", Some(-LONGEST))?;
    assert!(is_absent(store, &key));
    Ok(())
}

/// Every other write refuses what `set` refuses, and nothing is written.
pub fn every_write_refuses_what_no_database_holds(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("x"), Some(TimeDelta::hours(1)))?;
    let too_large = "v".repeat(VALUE_LIMIT + 1);
    let replace = |new: &str, expiry: Option<TimeDelta>| store.replace(&key, Some("x"), new, expiry.into());
    assert!(matches!(replace("a\0", None), Err(Error::ValueHasNul { position: 1 })));
    assert!(matches!(replace(&too_large, None), Err(Error::ValueTooLarge { .. })));
    assert!(matches!(replace("y", Some(TimeDelta::MAX)), Err(Error::PeriodOutOfRange { .. })));
    let expecting_nul = store.replace(&key, Some("\0"), "y", Expiry::Default);
    assert!(matches!(expecting_nul, Err(Error::ValueHasNul { position: 0 })));
    assert!(matches!(store.touch(&key, Expiry::After(TimeDelta::MAX)), Err(Error::PeriodOutOfRange { .. })));
    let generate_for = |value: &str, expiry| store.generate_for("alice", Some(value), expiry);
    assert!(matches!(generate_for("\0", None), Err(Error::ValueHasNul { .. })));
    assert!(matches!(generate_for(&too_large, None), Err(Error::ValueTooLarge { .. })));
    assert!(matches!(generate_for("x", Some(TimeDelta::MIN)), Err(Error::PeriodOutOfRange { .. })));
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "x");
    assert!(is_about(left, TimeDelta::hours(1)));
    assert_eq!(store.count()?.live, 1);
    Ok(())
}

/// `replace` can still expect a value that is now over the limit.
pub fn replace_can_expect_a_value_over_the_limit(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("x"), None)?;
    let expecting = store.replace(&key, Some(&"v".repeat(VALUE_LIMIT + 1)), "y", Expiry::Default);
    assert!(matches!(expecting, Err(Error::Changed)));
    Ok(())
}
