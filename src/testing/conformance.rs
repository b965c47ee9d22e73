//! The laws of [`Now`], each once, as functions over any store.
//!
//! [`conformance_tests!`](crate::conformance_tests) makes each law a test of its own. A law that is broken
//! panics; an error that no law expects is returned.

#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "said once, above")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::error::Error;
use crate::key::SessionKey;
use crate::now::Now;

/// A store that the laws can be held against: any [`Now`] with this crate's keys, strings and errors.
pub trait Subject: Now<Key = SessionKey, Value = String, Period = TimeDelta, Error = Error> {}

impl<S> Subject for S where S: Now<Key = SessionKey, Value = String, Period = TimeDelta, Error = Error> {}

/// Makes a test of each law, for the store that a function sets up.
///
/// The argument names a function that takes a law, runs it on a new store with the default settings, and
/// cleans up: `fn with_store(law: impl FnOnce(&MyStore))`.
///
/// # Examples
///
/// ```
/// mod memory {
///     use diesel_session::MemorySession;
///
///     fn with_store(law: impl FnOnce(&MemorySession)) {
///         law(&MemorySession::new());
///     }
///
///     diesel_session::conformance_tests!(with_store);
/// }
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($with_store:ident) => {
        $crate::conformance_tests! { @each $with_store
            the_default_period_is_one_week
            set_default_period_changes_later_operations_only
            set_default_period_refuses_what_no_database_holds
            generated_keys_differ
            generate_with_a_value_makes_it_readable
            generate_without_a_value_is_not_set_until_set
            generate_uses_the_given_expiry
            a_session_can_be_born_expired
            an_empty_value_is_a_value
            values_come_back_byte_for_byte
            an_unknown_key_is_not_found
            what_is_left_is_never_more_than_asked_for
            what_is_left_shrinks
            a_session_is_dead_at_once_when_its_period_is_over
            set_replaces_value_and_expiry
            set_without_expiry_uses_the_default_period
            set_with_a_past_expiry_ends_the_session
            set_never_creates_a_session
            set_never_revives_an_expired_session
            set_never_revives_a_cleared_session
            clear_makes_the_key_absent_and_is_idempotent
            clear_leaves_other_sessions_alone
            a_value_with_nul_is_refused_and_nothing_written
            a_value_over_the_limit_is_refused_and_nothing_written
            a_period_that_no_database_holds_is_refused_and_nothing_written
            the_longest_periods_are_held
        }
    };
    (@each $with_store:ident $($law:ident)*) => {
        $(
            #[test]
            fn $law() {
                $with_store(|store| $crate::testing::conformance::$law(store).expect("the law holds"));
            }
        )*
    };
}

const UNKNOWN: &str = "0000000000000000000000000000000000000000";

/// The default value limit, in bytes.
const VALUE_LIMIT: usize = 1 << 20;

/// The longest period that is held, either way.
const LONGEST: TimeDelta = TimeDelta::days(1_000_000);

fn text(value: &str) -> String {
    value.to_owned()
}

fn is_absent(store: &impl Subject, key: &SessionKey) -> bool {
    matches!(store.get(key), Err(Error::NotFound))
        && matches!(store.set(key, text("x"), None), Err(Error::NotFound))
        && store.clear(key).is_ok()
}

/// What is left of a period is at most the period, and not less than a minute under it.
fn is_about(left: TimeDelta, period: TimeDelta) -> bool {
    left <= period && left > period - TimeDelta::minutes(1)
}

/// The default period is one week, as the original's.
pub fn the_default_period_is_one_week(store: &impl Subject) -> Result<(), Error> {
    assert_eq!(store.default_period(), TimeDelta::weeks(1));
    let key = store.generate(Some(text("x")), None)?;
    assert!(is_about(store.get(&key)?.1, TimeDelta::weeks(1)));
    Ok(())
}

/// `set_default_period` works, and what was generated before keeps its period. (The original's always
/// raised.)
pub fn set_default_period_changes_later_operations_only(store: &impl Subject) -> Result<(), Error> {
    let before = store.generate(Some(text("x")), None)?;
    store.set_default_period(TimeDelta::hours(1))?;
    assert_eq!(store.default_period(), TimeDelta::hours(1));
    let after = store.generate(Some(text("x")), None)?;
    assert!(is_about(store.get(&before)?.1, TimeDelta::weeks(1)));
    assert!(is_about(store.get(&after)?.1, TimeDelta::hours(1)));
    Ok(())
}

/// A default period out of range is refused, and the old one stays.
pub fn set_default_period_refuses_what_no_database_holds(store: &impl Subject) -> Result<(), Error> {
    let refused = store.set_default_period(LONGEST + TimeDelta::seconds(1));
    assert!(matches!(refused, Err(Error::PeriodOutOfRange { .. })));
    assert_eq!(store.default_period(), TimeDelta::weeks(1));
    Ok(())
}

/// No two keys are the same.
pub fn generated_keys_differ(store: &impl Subject) -> Result<(), Error> {
    let mut keys: Vec<String> = Vec::new();
    for _ in 0..100 {
        keys.push(text(store.generate(None, None)?.as_str()));
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 100);
    Ok(())
}

/// A value given to `generate` is what `get` returns.
pub fn generate_with_a_value_makes_it_readable(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(text("cart=3")), None)?;
    assert_eq!(store.get(&key)?.0, "cart=3");
    assert_eq!(store.get(&key)?.0, "cart=3", "reading changes nothing");
    Ok(())
}

/// A session without a value is live, and not set until the first `set`.
pub fn generate_without_a_value_is_not_set_until_set(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(None, None)?;
    assert!(matches!(store.get(&key), Err(Error::NotSet)));
    store.set(&key, text("x"), None)?;
    assert_eq!(store.get(&key)?.0, "x");
    Ok(())
}

/// An expiry given to `generate` goes before the default period.
pub fn generate_uses_the_given_expiry(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), Some(TimeDelta::minutes(30)))?;
    assert!(is_about(store.get(&key)?.1, TimeDelta::minutes(30)));
    Ok(())
}

/// A zero or negative expiry is legal: the session is never live.
pub fn a_session_can_be_born_expired(store: &impl Subject) -> Result<(), Error> {
    for expiry in [TimeDelta::zero(), TimeDelta::seconds(-1), TimeDelta::days(-365)] {
        let key = store.generate(Some(text("x")), Some(expiry))?;
        assert!(is_absent(store, &key));
    }
    Ok(())
}

/// An empty value is a value. (The original took it for none.)
pub fn an_empty_value_is_a_value(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(String::new()), None)?;
    assert_eq!(store.get(&key)?.0, "");
    store.set(&key, text("x"), None)?;
    store.set(&key, String::new(), None)?;
    assert_eq!(store.get(&key)?.0, "");
    Ok(())
}

/// Quotes, blanks, escapes and every script come back as they went in.
pub fn values_come_back_byte_for_byte(store: &impl Subject) -> Result<(), Error> {
    for value in [
        "'; DROP TABLE session; --",
        "  padded  ",
        "\\x00\t\r\n\u{1}",
        "%s $1 ?1 {}",
        "žluťoučký 馬 🐎 \u{feff}",
    ] {
        let key = store.generate(Some(text(value)), None)?;
        assert_eq!(store.get(&key)?.0, value);
        store.set(&key, text(value), None)?;
        assert_eq!(store.get(&key)?.0, value);
    }
    Ok(())
}

/// A key that nobody generated names no session.
pub fn an_unknown_key_is_not_found(store: &impl Subject) -> Result<(), Error> {
    let unknown: SessionKey = UNKNOWN.parse()?;
    assert!(is_absent(store, &unknown));
    Ok(())
}

/// What is left is never more than what was asked for, down to the microsecond. (The original's was a
/// second too long half of the time.)
pub fn what_is_left_is_never_more_than_asked_for(store: &impl Subject) -> Result<(), Error> {
    for microseconds in (0..40).map(|n| 60_000_000 + n * 1_371) {
        let asked = TimeDelta::microseconds(microseconds);
        let key = store.generate(Some(text("x")), Some(asked))?;
        assert!(is_about(store.get(&key)?.1, asked));
        store.set(&key, text("y"), Some(asked))?;
        assert!(is_about(store.get(&key)?.1, asked));
    }
    Ok(())
}

/// What is left is counted from now, not from the last write.
pub fn what_is_left_shrinks(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), Some(TimeDelta::hours(1)))?;
    let (_, first) = store.get(&key)?;
    let started = Instant::now();
    while store.get(&key)?.1 >= first {
        assert!(started.elapsed() < Duration::from_secs(5), "the clock of the store stands still");
    }
    Ok(())
}

/// A session is served until its period is over and not a moment longer. (The original served dead
/// sessions for up to a second.)
pub fn a_session_is_dead_at_once_when_its_period_is_over(store: &impl Subject) -> Result<(), Error> {
    let period = Duration::from_millis(300);
    let key = store.generate(Some(text("x")), Some(TimeDelta::milliseconds(300)))?;
    let generated = Instant::now();
    while let Ok((_, left)) = store.get(&key) {
        assert!(left > TimeDelta::zero(), "a dead session is not served");
        assert!(generated.elapsed() < Duration::from_secs(5), "the session does not expire");
    }
    // The period began before `generate` returned, so it is over by then.
    sleep(period.saturating_sub(generated.elapsed()));
    assert!(is_absent(store, &key));
    Ok(())
}

/// `set` replaces both value and expiry, shorter ones too.
pub fn set_replaces_value_and_expiry(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), None)?;
    store.set(&key, text("y"), Some(TimeDelta::minutes(10)))?;
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "y");
    assert!(is_about(left, TimeDelta::minutes(10)));
    Ok(())
}

/// `set` without an expiry counts the default period from now.
pub fn set_without_expiry_uses_the_default_period(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), Some(TimeDelta::minutes(10)))?;
    store.set(&key, text("y"), None)?;
    assert!(is_about(store.get(&key)?.1, TimeDelta::weeks(1)));
    Ok(())
}

/// An expiry in the past ends the session.
pub fn set_with_a_past_expiry_ends_the_session(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), None)?;
    store.set(&key, text("y"), Some(TimeDelta::seconds(-1)))?;
    assert!(is_absent(store, &key));
    Ok(())
}

/// `set` on an unknown key says so: a client cannot choose its key, and no write is lost in silence.
pub fn set_never_creates_a_session(store: &impl Subject) -> Result<(), Error> {
    let unknown: SessionKey = UNKNOWN.parse()?;
    assert!(matches!(store.set(&unknown, text("x"), None), Err(Error::NotFound)));
    assert!(matches!(store.get(&unknown), Err(Error::NotFound)));
    Ok(())
}

/// `set` on an expired session says so and leaves it dead. (The original revived it.)
pub fn set_never_revives_an_expired_session(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), Some(TimeDelta::zero()))?;
    assert!(matches!(store.set(&key, text("y"), None), Err(Error::NotFound)));
    assert!(matches!(store.get(&key), Err(Error::NotFound)));
    Ok(())
}

/// `set` on a cleared session says so and leaves it cleared: a late request cannot undo a logout.
pub fn set_never_revives_a_cleared_session(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), None)?;
    store.clear(&key)?;
    assert!(matches!(store.set(&key, text("y"), None), Err(Error::NotFound)));
    assert!(matches!(store.get(&key), Err(Error::NotFound)));
    Ok(())
}

/// After `clear` the key is absent for every operation, and clearing it again is no error.
pub fn clear_makes_the_key_absent_and_is_idempotent(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), None)?;
    store.clear(&key)?;
    assert!(is_absent(store, &key));
    store.clear(&key)?;
    Ok(())
}

/// `clear` ends one session.
pub fn clear_leaves_other_sessions_alone(store: &impl Subject) -> Result<(), Error> {
    let one = store.generate(Some(text("one")), None)?;
    let two = store.generate(Some(text("two")), None)?;
    store.clear(&one)?;
    assert_eq!(store.get(&two)?.0, "two");
    Ok(())
}

/// A NUL, which PostgreSQL's text cannot hold, is refused with its place. (The original cut the value
/// there.)
pub fn a_value_with_nul_is_refused_and_nothing_written(store: &impl Subject) -> Result<(), Error> {
    assert!(matches!(store.generate(Some(text("ab\0c")), None), Err(Error::ValueHasNul { position: 2 })));
    let key = store.generate(Some(text("x")), Some(TimeDelta::hours(1)))?;
    assert!(matches!(store.set(&key, text("\0"), None), Err(Error::ValueHasNul { position: 0 })));
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "x");
    assert!(left <= TimeDelta::hours(1));
    Ok(())
}

/// A value over the limit is refused with its size and the limit; one at the limit is held.
pub fn a_value_over_the_limit_is_refused_and_nothing_written(store: &impl Subject) -> Result<(), Error> {
    let largest = "v".repeat(VALUE_LIMIT);
    let too_large = format!("{largest}v");
    let is_refused = |error: Option<Error>| matches!(error, Some(Error::ValueTooLarge { size, limit }) if size == VALUE_LIMIT + 1 && limit == VALUE_LIMIT);
    assert!(is_refused(store.generate(Some(too_large.clone()), None).err()));
    let key = store.generate(Some(largest.clone()), Some(TimeDelta::hours(1)))?;
    assert!(is_refused(store.set(&key, too_large, None).err()));
    let (value, left) = store.get(&key)?;
    assert!(value == largest, "the value at the limit is held");
    assert!(left <= TimeDelta::hours(1));
    Ok(())
}

/// A period beyond what databases hold is refused with the limit. (The original surfaced raw server
/// errors.)
pub fn a_period_that_no_database_holds_is_refused_and_nothing_written(
    store: &impl Subject,
) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), Some(TimeDelta::hours(1)))?;
    for period in [
        LONGEST + TimeDelta::microseconds(1),
        -LONGEST - TimeDelta::microseconds(1),
        TimeDelta::MAX,
        TimeDelta::MIN,
    ] {
        let is_refused = |error: Option<Error>| matches!(error, Some(Error::PeriodOutOfRange { period: asked, limit }) if asked == period && limit == LONGEST);
        assert!(is_refused(store.generate(None, Some(period)).err()));
        assert!(is_refused(store.set(&key, text("y"), Some(period)).err()));
    }
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "x");
    assert!(left <= TimeDelta::hours(1));
    Ok(())
}

/// The longest periods either way are held.
pub fn the_longest_periods_are_held(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some(text("x")), Some(LONGEST))?;
    assert!(is_about(store.get(&key)?.1, LONGEST));
    store.set(&key, text("y"), Some(-LONGEST))?;
    assert!(is_absent(store, &key));
    Ok(())
}
