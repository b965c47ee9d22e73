//! The laws of [`Now`], each once, as functions over any store; some name what OCaml's `session-postgresql`
//! does instead.
//!
//! [`conformance_tests!`](crate::conformance_tests) makes each law a test of its own. A law that is broken
//! panics; an error that no law expects is returned.

#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "said once, above")]

use chrono::TimeDelta;

use crate::error::Error;
use crate::key::SessionKey;
use crate::now::Now;

mod expiry;
mod lifecycle;
mod limits;

pub use expiry::*;
pub use lifecycle::*;
pub use limits::*;

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
