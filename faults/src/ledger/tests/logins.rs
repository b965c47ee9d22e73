//! Tests of logins through a web framework, which consist of two calls.

use super::*;

#[test]
fn an_acknowledged_login_has_the_new_session_with_its_value_and_no_old_one() {
    for (is_old, is_new, step, found) in [
        (false, true, 3, (0, 0)),
        (false, true, 2, (1, 0)),
        (false, false, 3, (1, 0)),
        (true, true, 3, (0, 1)),
        (true, false, 3, (1, 1)),
    ] {
        let mut kept = Kept::new();
        kept.begin(Call::LogIn { step: 3 });
        let new = kept.store.generate(&value(SESSION, step, 0), None).unwrap();
        kept.acknowledge(Some(&new));
        if !is_old {
            kept.store.clear(&kept.key).unwrap();
        }
        if !is_new {
            kept.store.clear(&new).unwrap();
        }
        let report = kept.settle();
        assert_eq!((report.lost, report.revived), found, "old {is_old}, new {is_new}, step {step}");
    }
}

/// At the end, the ledger logs out with the only key that it has.
#[test]
fn a_login_that_failed_leaves_no_two_sessions_and_none_that_a_logout_does_not_end() {
    for (is_old, is_new, parked, half_written) in
        [(true, false, 0, 0), (false, false, 1, 0), (false, true, 1, 1), (true, true, 0, 1)]
    {
        let mut kept = Kept::new();
        kept.begin(Call::LogIn { step: 3 });
        kept.fail(Effect::Unknown);
        if is_new {
            kept.another();
        }
        if !is_old {
            kept.store.clear(&kept.key).unwrap();
        }
        let report = kept.settle();
        let found = (report.lost, report.parked, report.half_written);
        assert_eq!(found, (0, parked, half_written), "old {is_old}, new {is_new}");
    }
}

#[test]
fn a_login_that_failed_does_not_change_the_old_session() {
    let mut kept = Kept::new();
    kept.begin(Call::LogIn { step: 3 });
    kept.fail(Effect::Unknown);
    kept.store.set(&kept.key, &value(SESSION, 3, 0)).unwrap();
    assert_eq!(kept.settle().lost, 1);
}

#[test]
fn after_an_acknowledged_end_no_call_that_failed_before_may_have_left_a_session() {
    for call in [Call::LogIn { step: 3 }, Call::Rotate] {
        let mut kept = Kept::new();
        kept.begin(call);
        kept.fail(Effect::Unknown);
        kept.begin(Call::Clear);
        kept.acknowledge(None);
        kept.store.clear(&kept.key).unwrap();
        kept.another();
        assert_eq!(kept.settle().half_written, 1, "{call:?}");
    }
}

#[test]
fn a_value_is_found_in_what_the_frameworks_write() {
    for text in [r#"{"visit":"7:2:"}"#, r#"{"visit":"\"7:2:\""}"#] {
        let kept = Kept::new();
        kept.store.set(&kept.key, text).unwrap();
        assert!(kept.settle().holds());
    }
    let kept = Kept::new();
    kept.store.set(&kept.key, r#"{"visit":"7:1:"}"#).unwrap();
    assert_eq!(kept.settle().lost, 1);
}
