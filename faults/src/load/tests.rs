//! Tests that the clients detect what a store must not do.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use diesel_session::{MemorySession, Sweeper};

use super::*;
use crate::ledger::Ledger;
use crate::report::Report;

/// A store with one defect.
struct Lying {
    store: MemorySession,
    lie: Lie,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lie {
    None,
    ServesTheDead,
    RevivesTheDead,
    DropsWrites,
    DropsProlongations,
    ForgetsSessions,
}

impl Target for Lying {
    fn generate(&self, value: &str, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        self.store.generate(value, expiry)
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        match Target::get(&self.store, key) {
            Err(Error::NotFound) if self.lie == Lie::ServesTheDead => {
                Ok(("dead".to_owned(), TimeDelta::zero()))
            }
            honest => honest,
        }
    }

    fn set(&self, key: &SessionKey, value: &str) -> Result<(), Error> {
        match self.lie {
            Lie::DropsWrites => self.store.touch(key, Expiry::Default),
            Lie::RevivesTheDead => Target::set(&self.store, key, value).or(Ok(())),
            _ => Target::set(&self.store, key, value),
        }
    }

    fn update(&self, key: &SessionKey, value: &str) -> Result<(), Error> {
        Target::update(&self.store, key, value)
    }

    fn count(&self, key: &SessionKey) -> Result<(), Error> {
        Target::count(&self.store, key)
    }

    fn replace(&self, key: &SessionKey, expected: &str, value: &str) -> Result<(), Error> {
        Target::replace(&self.store, key, expected, value)
    }

    fn touch(&self, key: &SessionKey, expiry: Expiry) -> Result<(), Error> {
        let expiry = if self.lie == Lie::DropsProlongations { Expiry::Default } else { expiry };
        Target::touch(&self.store, key, expiry)
    }

    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        let new = Target::rotate(&self.store, key)?;
        if self.lie == Lie::ForgetsSessions {
            Target::clear(&self.store, &new)?;
        }
        Ok(new)
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        Target::clear(&self.store, key)
    }

    fn live(&self) -> Result<u64, Error> {
        self.store.live()
    }

    fn sweeper(&self) -> Result<Sweeper, Error> {
        self.store.sweeper()
    }
}

/// A record that the test can read.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// Returns the ledger's report on the record.
    pub(super) fn settle(&self, target: &dyn Target) -> Report {
        let mut ledger = Ledger::new(0);
        for line in self.0.lock().unwrap().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            ledger.apply(0, serde_json::from_slice(line).unwrap()).unwrap();
        }
        ledger.settle(target).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the ledger's report after some thousand calls of several threads, which run one after another. The last
/// calls of each thread decide what is there at the end.
fn report(lie: Lie) -> Report {
    let target = Lying { store: MemorySession::new(), lie };
    let written = Kept::default();
    let record = Record::begin(&target, 0, written.clone()).unwrap();
    for seed in 0..8 {
        let rounds = Cell::new(0);
        let stop = || rounds.replace(rounds.get() + 1) == 500;
        Visitors::new(&target, &record, 0, seed).run(stop).unwrap();
    }
    written.settle(&target)
}

#[test]
fn an_honest_store_has_nothing_against_it() {
    let report = report(Lie::None);
    assert!(report.holds() && report.errors.is_empty(), "{report}");
}

#[test]
fn each_lie_is_found_out() {
    assert!(report(Lie::ServesTheDead).served_dead > 0);
    assert!(report(Lie::RevivesTheDead).revived > 0);
    assert!(report(Lie::DropsWrites).lost > 0);
    assert!(report(Lie::DropsProlongations).lost > 0);
    assert!(report(Lie::ForgetsSessions).lost > 0);
}
