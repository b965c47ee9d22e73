//! The laws of [`Now`] and [`Sessions`](crate::Sessions), each as a function over any store. Some of them name what
//! OCaml's `session-postgresql` does instead.
//!
//! [`conformance_tests!`](crate::conformance_tests) and
//! [`sessions_conformance_tests!`](crate::sessions_conformance_tests) make each law a separate test. A broken law
//! panics. An error that no law expects is returned.

#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "said once, above")]

use chrono::TimeDelta;

use crate::error::Error;
use crate::key::SessionKey;
use crate::now::Now;

mod admin;
mod bounds;
mod expired;
mod expiry;
mod find;
mod lifecycle;
mod limits;
mod owners;
mod rotation;
mod touching;
mod updates;

pub use admin::*;
pub use bounds::*;
pub use expired::*;
pub use expiry::*;
pub use find::*;
pub use lifecycle::*;
pub use limits::*;
pub use owners::*;
pub use rotation::*;
pub use touching::*;
pub use updates::*;

/// A store that the laws of [`Now`] can test: any store with the types of this crate.
pub trait Subject: Now<Key = SessionKey, Value = str, Period = TimeDelta, Error = Error> {}

impl<S> Subject for S where S: Now<Key = SessionKey, Value = str, Period = TimeDelta, Error = Error> {}

/// Makes a test of each law of [`Now`](crate::Now), for the store that a function sets up.
///
/// The argument names that function: `fn with_store(law: impl FnOnce(&MyStore))`. It runs the law on a new store with
/// the default settings, and cleans up.
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

/// Makes a test of each law of [`Sessions`](crate::Sessions), for the stores that two functions set up.
///
/// The first function is as for [`conformance_tests!`](crate::conformance_tests). The second one takes a limit and a
/// law. It runs the law on a new store with that limit of live sessions per owner. This store has a longest lifetime of
/// one hour, and a touch interval of zero.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// mod sqlite {
///     use diesel::SqliteConnection;
///     use diesel_session::{DieselSession, OwnerLimit, TimeDelta};
///
///     type Store = DieselSession<SqliteConnection>;
///
///     fn with_store(law: impl FnOnce(&Store)) {
///         law(&Store::builder().test_transaction(":memory:").unwrap());
///     }
///
///     fn with_bounds(limit: OwnerLimit, law: impl FnOnce(&Store)) {
///         let builder = Store::builder().owner_limit(limit).max_lifetime(TimeDelta::hours(1));
///         law(&builder.touch_interval(TimeDelta::zero()).test_transaction(":memory:").unwrap());
///     }
///
///     diesel_session::sessions_conformance_tests!(with_store, with_bounds);
/// }
/// ```
#[macro_export]
macro_rules! sessions_conformance_tests {
    ($with_store:ident, $with_bounds:ident) => {
        $crate::conformance_tests! { @each $with_store
            rotate_keeps_value_and_expiry
            rotate_keeps_a_session_unset
            rotate_keeps_the_owner_and_the_time_of_creation
            rotate_kills_the_old_key
            clear_with_an_older_key_ends_the_session
            rotate_leaves_nothing_that_counts
            rotate_never_creates_nor_revives
            touch_prolongs_and_leaves_the_value
            touch_never_shortens
            touch_writes_only_what_is_worth_it
            touch_needs_no_value
            touch_never_revives
            update_writes_what_the_function_makes
            update_sets_a_session_without_a_value
            update_that_fails_changes_nothing
            update_that_panics_changes_nothing
            update_refuses_what_no_database_holds
            update_never_creates_nor_revives
            update_never_revives_what_expired_meanwhile
            replace_writes_over_the_expected_value
            replace_leaves_another_value
            replace_can_expect_no_value
            replace_never_creates_nor_revives
            generate_for_makes_a_session_of_the_owner
            bind_gives_a_session_an_owner
            bind_never_revives
            an_owners_sessions_are_listed_newest_first
            a_list_has_the_newest_of_an_owners_sessions
            only_live_sessions_are_listed
            an_unknown_owner_has_no_sessions
            clear_owner_ends_every_session_of_the_owner
            clear_owner_can_keep_one_session
            clear_others_keeps_the_session_of_that_handle
            clear_listed_ends_the_session_of_that_handle
            a_handle_is_no_key
            an_owner_that_no_database_holds_is_refused
            an_owners_name_can_be_any_text
            find_returns_everything_that_is_known
            find_tells_what_a_session_lacks
            find_says_whose_a_session_is
            find_and_set_label_never_revive
            a_write_can_keep_the_expiry
            put_moves_the_expiry_as_told
            put_never_revives
            every_write_is_a_use
            touch_can_record_the_use_alone
            a_label_can_be_set_and_taken_away
            rotate_keeps_the_label
            labels_and_the_last_use_are_listed
            a_label_that_no_database_holds_is_refused
            update_refuses_calls_by_its_own_function
            every_write_refuses_what_no_database_holds
            replace_can_expect_a_value_over_the_limit
            list_has_every_live_session_once
            list_can_have_one_owners_sessions
            a_cursor_outlives_the_sessions_around_it
            list_has_a_renewed_session_once
            clear_handle_ends_the_session_of_that_handle
            clear_all_ends_every_session
            count_tells_live_from_expired
            delete_expired_deletes_what_has_expired_and_nothing_else
        }

        $crate::sessions_conformance_tests! { @bounded $with_bounds
            EndOldest no_write_outlives_the_lifetime
            EndOldest a_shorter_period_than_the_lifetime_stands
            EndOldest touch_ends_at_the_lifetime
            EndOldest without_a_touch_interval_every_gain_is_written
            EndOldest another_session_of_an_owner_ends_the_oldest
            EndOldest only_other_live_sessions_of_the_owner_count
            Refuse another_session_of_an_owner_is_refused
        }
    };
    (@bounded $with_bounds:ident $($limit:ident $law:ident)*) => {
        $(
            #[test]
            fn $law() {
                $with_bounds($crate::OwnerLimit::$limit(2), |store| {
                    $crate::testing::conformance::$law(store).expect("the law holds");
                });
            }
        )*
    };
}

/// A key that no store generated.
const UNKNOWN: &str = "0000000000000000000000000000000000000000";

/// In bytes. It is the default of every store.
const VALUE_LIMIT: usize = 1 << 20;

/// The longest period that a store holds, positive or negative.
const LONGEST: TimeDelta = TimeDelta::days(1_000_000);

fn text(value: &str) -> String {
    value.to_owned()
}

/// Keys of no live session: an unknown one, a cleared one and an expired one.
fn unusable_keys(store: &impl Subject) -> Result<[SessionKey; 3], Error> {
    let cleared = store.generate(Some("x"), None)?;
    store.clear(&cleared)?;
    let expired = store.generate(Some("x"), Some(TimeDelta::zero()))?;
    Ok([UNKNOWN.parse()?, cleared, expired])
}

fn wait(period: TimeDelta) {
    std::thread::sleep(period.to_std().unwrap_or_default());
}

/// Lets the clocks of all databases move on. PostgreSQL's table has a resolution of ten milliseconds.
fn tick() {
    wait(TimeDelta::milliseconds(20));
}

fn is_absent(store: &impl Subject, key: &SessionKey) -> bool {
    matches!(store.get(key), Err(Error::NotFound))
        && matches!(store.set(key, "x", None), Err(Error::NotFound))
        && store.clear(key).is_ok()
}

/// Whether the rest of a period is at most the period, and less than a minute shorter.
fn is_about(left: TimeDelta, period: TimeDelta) -> bool {
    left <= period && left > period - TimeDelta::minutes(1)
}
