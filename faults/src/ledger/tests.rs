//! Tests that the ledger detects what it should.

mod logins;

use diesel_session::{Expiry, MemorySession, TimeDelta};

use super::*;
use crate::event::value;

/// A session whose writes were acknowledged up to the second one, in the store and in the ledger.
struct Kept {
    store: Box<dyn Target>,
    key: SessionKey,
    ledger: Ledger,
}

const SESSION: u64 = 7;

impl Kept {
    fn new() -> Self {
        let store: Box<dyn Target> = Box::new(MemorySession::new());
        let key = store.generate(&value(SESSION, 2, 0), None).unwrap();
        let mut kept = Self { store, key, ledger: Ledger::new(0) };
        kept.begin(Call::Generate { short_lived: false });
        kept.acknowledge(Some(&key));
        for step in [1, 2] {
            kept.begin(Call::Write { step });
            kept.acknowledge(None);
        }
        kept
    }

    fn apply(&mut self, event: Event) {
        self.ledger.apply(0, event).unwrap();
    }

    fn begin(&mut self, call: Call) {
        self.apply(Event::Begun { session: SESSION, call });
    }

    fn acknowledge(&mut self, key: Option<&SessionKey>) {
        self.apply(Event::Acknowledged { session: SESSION, key: key.map(|key| key.as_str().to_owned()) });
    }

    fn fail(&mut self, effect: Effect) {
        self.apply(Event::Failed { session: SESSION, failure: failure(effect) });
    }

    /// Creates another session in the store.
    fn another(&self) -> SessionKey {
        self.store.generate(&value(SESSION, 2, 0), None).unwrap()
    }

    fn settle(self) -> Report {
        self.ledger.settle(&*self.store).unwrap()
    }
}

fn failure(effect: Effect) -> Failure {
    Failure { kind: "a failure".to_owned(), effect }
}

#[test]
fn what_is_there_is_not_lost() {
    let report = Kept::new().settle();
    assert!(report.holds() && report.acknowledged == 3 && report.settled == 1, "{report}");
}

#[test]
fn an_older_value_is_lost() {
    let kept = Kept::new();
    kept.store.set(&kept.key, &value(SESSION, 1, 0)).unwrap();
    assert_eq!(kept.settle().lost, 1);
}

#[test]
fn a_session_that_is_gone_is_lost() {
    let kept = Kept::new();
    kept.store.clear(&kept.key).unwrap();
    assert_eq!(kept.settle().lost, 1);
}

#[test]
fn a_write_that_failed_may_be_there_or_not() {
    for step in [2, 3] {
        let mut kept = Kept::new();
        kept.begin(Call::Write { step: 3 });
        kept.fail(Effect::Unknown);
        kept.store.set(&kept.key, &value(SESSION, step, 0)).unwrap();
        assert!(kept.settle().holds());
    }
}

#[test]
fn a_write_that_cannot_have_taken_effect_must_not_be_there() {
    for effect in [Effect::None, Effect::Refused] {
        let mut kept = Kept::new();
        kept.ledger.refusals_are_final();
        kept.begin(Call::Write { step: 3 });
        kept.fail(effect);
        kept.store.set(&kept.key, &value(SESSION, 3, 0)).unwrap();
        assert_eq!(kept.settle().lost, 1);
    }
}

#[test]
fn an_end_that_failed_may_have_been_one() {
    let mut kept = Kept::new();
    kept.begin(Call::Clear);
    kept.fail(Effect::Unknown);
    kept.store.clear(&kept.key).unwrap();
    assert!(kept.settle().holds());
}

#[test]
fn a_session_that_ended_and_lives_is_revived() {
    let mut kept = Kept::new();
    kept.begin(Call::Clear);
    kept.acknowledge(None);
    assert_eq!(kept.settle().revived, 1);
}

#[test]
fn a_session_that_ended_after_a_write_that_failed_and_lives_is_revived() {
    let mut kept = Kept::new();
    kept.begin(Call::Write { step: 3 });
    kept.fail(Effect::Unknown);
    kept.begin(Call::Clear);
    kept.acknowledge(None);
    assert_eq!(kept.settle().revived, 1);
}

#[test]
fn a_session_whose_time_is_over_and_that_lives_is_revived_and_nobody_was_served_by_that() {
    let mut kept = Kept::new();
    kept.apply(Event::Over { session: SESSION });
    let report = kept.settle();
    assert_eq!((report.revived, report.acknowledged), (1, 3));
}

#[test]
fn a_short_lived_session_is_over_in_the_end() {
    for (period, revived) in [(TimeDelta::milliseconds(100), 0), (TimeDelta::hours(1), 1)] {
        let mut kept = Kept::new();
        let key = kept.store.generate("", Some(period)).unwrap();
        kept.apply(Event::Begun { session: 8, call: Call::Generate { short_lived: true } });
        kept.apply(Event::Acknowledged { session: 8, key: Some(key.as_str().to_owned()) });
        assert_eq!(kept.settle().revived, revived);
    }
}

#[test]
fn an_old_key_that_lives_is_revived() {
    let mut kept = Kept::new();
    kept.begin(Call::Rotate);
    let new = kept.another();
    kept.acknowledge(Some(&new));
    let report = kept.settle();
    assert_eq!((report.revived, report.lost), (1, 0));
}

#[test]
fn a_rotation_that_failed_has_moved_the_session_or_not_but_neither_both_nor_none() {
    for (is_old, is_new, half_written) in
        [(true, false, 0), (false, true, 0), (true, true, 1), (false, false, 1)]
    {
        let mut kept = Kept::new();
        kept.begin(Call::Rotate);
        kept.fail(Effect::Unknown);
        if is_new {
            kept.another();
        }
        if !is_old {
            kept.store.clear(&kept.key).unwrap();
        }
        assert_eq!(kept.settle().half_written, half_written, "old {is_old}, new {is_new}");
    }
}

#[test]
fn a_session_that_nobody_asked_for_is_half_written() {
    let kept = Kept::new();
    kept.another();
    assert_eq!(kept.settle().half_written, 1);
}

#[test]
fn a_generate_that_failed_may_have_left_a_session_and_one_that_was_never_sent_has_not() {
    for (effect, half_written) in [(Effect::Unknown, 0), (Effect::None, 1)] {
        let mut kept = Kept::new();
        kept.apply(Event::Begun { session: 8, call: Call::Generate { short_lived: false } });
        kept.apply(Event::Failed { session: 8, failure: failure(effect) });
        kept.another();
        assert_eq!(kept.settle().half_written, half_written);
    }
}

#[test]
fn an_acknowledged_prolongation_that_is_not_there_is_lost() {
    for (days, lost) in [(30, 0), (100, 1)] {
        let mut kept = Kept::new();
        kept.store.touch(&kept.key, Expiry::After(TimeDelta::days(30))).unwrap();
        kept.begin(Call::Touch { days });
        kept.acknowledge(None);
        assert_eq!(kept.settle().lost, lost, "{days}");
    }
}

#[test]
fn what_the_clients_see_themselves_is_counted() {
    let mut kept = Kept::new();
    kept.apply(Event::Revived);
    kept.apply(Event::ServedDead);
    kept.apply(Event::ServedDead);
    kept.apply(Event::Lost { session: SESSION });
    // It must not be counted again when the ledger looks for it.
    kept.store.clear(&kept.key).unwrap();
    let report = kept.settle();
    assert_eq!((report.revived, report.served_dead, report.lost, report.half_written), (1, 2, 1, 0));
}

#[test]
fn an_outage_is_what_lies_between_two_calls_of_one_client_that_was_not_killed() {
    const OUTAGE: Duration = Duration::from_millis(200);
    let between = |client, is_killed| {
        let mut kept = Kept::new();
        if is_killed {
            kept.ledger.forget_client(0);
        }
        std::thread::sleep(OUTAGE);
        kept.ledger.apply(client, Event::Read).unwrap();
        kept.settle().longest_outage
    };
    assert!(between(0, false) >= OUTAGE);
    for (client, is_killed) in [(0, true), (1, false)] {
        assert!(between(client, is_killed) < OUTAGE);
    }
}

/// Two increments began and one was acknowledged.
#[test]
fn a_counter_has_all_that_was_acknowledged_and_no_more_than_may_be() {
    for (effect, counted, lost, twice) in [
        (Effect::Unknown, "0", 1, 0),
        (Effect::Unknown, "1", 0, 0),
        (Effect::Unknown, "2", 0, 0),
        (Effect::Unknown, "3", 0, 1),
        (Effect::None, "2", 0, 1),
        (Effect::Unknown, "no number", 1, 0),
    ] {
        let mut kept = Kept::new();
        let key = kept.store.generate(counted, None).unwrap().as_str().to_owned();
        kept.apply(Event::Counter { session: 8, key });
        kept.apply(Event::Counting { session: 8 });
        kept.apply(Event::Counting { session: 8 });
        kept.apply(Event::Counted { session: 8 });
        kept.apply(Event::Uncounted { session: 8, failure: failure(effect) });
        let report = kept.settle();
        assert_eq!((report.lost, report.counted_twice), (lost, twice), "{effect:?}, {counted}");
    }
}
