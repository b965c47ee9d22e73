//! That the ledger sees what it is there for.

use diesel_session::MemorySession;

use super::*;

/// A session that was acknowledged up to its second write, as the store and the ledger have it.
fn kept() -> (Box<dyn Target>, SessionKey, Ledger) {
    let store: Box<dyn Target> = Box::new(MemorySession::new());
    let key = store.generate(value(7, 2, 0), None).unwrap();
    let mut ledger = Ledger::new(0);
    let calls = [Call::Generate { short_lived: false }, Call::Write { step: 1 }, Call::Write { step: 2 }];
    for call in calls {
        ledger.apply(Event::Begun { session: 7, call }).unwrap();
        let key = matches!(call, Call::Generate { .. }).then(|| key.as_str().to_owned());
        ledger.apply(Event::Acknowledged { session: 7, key }).unwrap();
    }
    (store, key, ledger)
}

fn begin(ledger: &mut Ledger, call: Call) {
    ledger.apply(Event::Begun { session: 7, call }).unwrap();
}

#[test]
fn what_is_there_is_not_lost() {
    let (store, _, ledger) = kept();
    let report = ledger.settle(&*store).unwrap();
    assert!(report.holds() && report.acknowledged == 3 && report.sessions == 1, "{report}");
}

#[test]
fn an_older_value_is_lost() {
    let (store, key, ledger) = kept();
    store.set(&key, value(7, 1, 0)).unwrap();
    assert_eq!(ledger.settle(&*store).unwrap().lost, 1);
}

#[test]
fn a_session_that_is_gone_is_lost() {
    let (store, key, ledger) = kept();
    store.clear(&key).unwrap();
    assert_eq!(ledger.settle(&*store).unwrap().lost, 1);
}

#[test]
fn a_write_that_failed_may_be_there_or_not() {
    for step in [2, 3] {
        let (store, key, mut ledger) = kept();
        begin(&mut ledger, Call::Write { step: 3 });
        store.set(&key, value(7, step, 0)).unwrap();
        assert!(ledger.settle(&*store).unwrap().holds());
    }
}

#[test]
fn a_write_that_was_refused_for_good_must_not_be_there() {
    let (store, key, mut ledger) = kept();
    ledger.refusals_are_final();
    begin(&mut ledger, Call::Write { step: 3 });
    let refusal = Event::Unclear { session: 7, error: "Database".to_owned(), refused: true };
    ledger.apply(refusal).unwrap();
    store.set(&key, value(7, 3, 0)).unwrap();
    assert_eq!(ledger.settle(&*store).unwrap().lost, 1);
}

#[test]
fn an_end_that_failed_may_have_been_one() {
    let (store, key, mut ledger) = kept();
    begin(&mut ledger, Call::End);
    store.clear(&key).unwrap();
    assert!(ledger.settle(&*store).unwrap().holds());
}

#[test]
fn a_session_that_ended_and_lives_is_revived() {
    let (store, _, mut ledger) = kept();
    begin(&mut ledger, Call::End);
    ledger.apply(Event::Acknowledged { session: 7, key: None }).unwrap();
    assert_eq!(ledger.settle(&*store).unwrap().revived, 1);
}

#[test]
fn an_old_key_that_lives_is_revived() {
    let (store, key, mut ledger) = kept();
    begin(&mut ledger, Call::Rotate);
    let new = store.generate(value(7, 2, 0), None).unwrap();
    ledger.apply(Event::Acknowledged { session: 7, key: Some(new.as_str().to_owned()) }).unwrap();
    assert_eq!(ledger.dead, [key]);
    assert_eq!(ledger.settle(&*store).unwrap().revived, 1);
}

#[test]
fn a_session_that_nobody_asked_for_is_half_written() {
    let (store, _, ledger) = kept();
    store.generate(String::new(), None).unwrap();
    assert_eq!(ledger.settle(&*store).unwrap().half_written, 1);
}

/// Two counts were begun and one was acknowledged.
#[test]
fn a_counter_has_all_that_was_acknowledged_and_no_more_than_was_begun() {
    for (counted, lost, twice) in [("0", 1, 0), ("1", 0, 0), ("2", 0, 0), ("3", 0, 1)] {
        let (store, _, mut ledger) = kept();
        let key = store.generate(counted.to_owned(), None).unwrap().as_str().to_owned();
        ledger.apply(Event::Counter { session: 8, key }).unwrap();
        for event in
            [Event::Counting { session: 8 }, Event::Counting { session: 8 }, Event::Counted { session: 8 }]
        {
            ledger.apply(event).unwrap();
        }
        let report = ledger.settle(&*store).unwrap();
        assert_eq!((report.lost, report.counted_twice), (lost, twice), "{counted}");
    }
}

#[test]
fn a_generate_that_failed_may_have_left_a_session() {
    let (store, _, mut ledger) = kept();
    ledger.apply(Event::Begun { session: 8, call: Call::Generate { short_lived: false } }).unwrap();
    store.generate(String::new(), None).unwrap();
    assert!(ledger.settle(&*store).unwrap().holds());
}
