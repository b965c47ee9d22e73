//! Tests that the visitors detect what a framework's store must not do.

use std::cell::Cell;

use diesel_session::{Blocking, MemorySession, SessionKey};

use super::*;
use crate::load::tests::Kept;
use crate::report::Report;
use crate::store::runtime;

/// A framework's store with one defect.
struct Lying {
    site: Box<dyn Site>,
    lie: Lie,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lie {
    None,
    ForgetsLogins,
    LogsInWithAnOldValue,
    KeepsASecondSession,
    RefusesDoubleClicks,
    DropsSaves,
    LogsNobodyOut,
    RevivesByALateLogin,
    TakesLateSaves,
}

impl Site for Lying {
    fn framework(&self) -> Framework {
        self.site.framework()
    }

    fn key(&self, cookie: &str) -> Result<SessionKey, Refusal> {
        self.site.key(cookie)
    }

    fn begin(&self, value: &str) -> Result<String, Refusal> {
        self.site.begin(value)
    }

    fn load(&self, cookie: &str) -> Result<Box<dyn Request + '_>, Refusal> {
        let request = self.site.load(cookie)?;
        Ok(Box::new(LyingRequest { lying: self, cookie: cookie.to_owned(), request }))
    }

    fn log_out(&self, cookie: &str) -> Result<(), Refusal> {
        if self.lie == Lie::LogsNobodyOut { Ok(()) } else { self.site.log_out(cookie) }
    }
}

struct LyingRequest<'a> {
    lying: &'a Lying,
    cookie: String,
    request: Box<dyn Request + 'a>,
}

impl Request for LyingRequest<'_> {
    fn value(&self) -> Option<String> {
        self.request.value()
    }

    fn save(self: Box<Self>, value: &str) -> Result<(), Refusal> {
        match self.lying.lie {
            Lie::DropsSaves => Ok(()),
            Lie::TakesLateSaves => self.request.save(value).or(Ok(())),
            _ => self.request.save(value),
        }
    }

    fn log_in(self: Box<Self>, value: &str, handler: Duration) -> Result<String, Refusal> {
        let Self { lying: Lying { site, lie }, cookie, request } = *self;
        match lie {
            Lie::ForgetsLogins => {
                let new = request.log_in(value, handler)?;
                site.log_out(&new)?;
                Ok(new)
            }
            Lie::LogsInWithAnOldValue => {
                let old = request.value().unwrap();
                request.log_in(&old, handler)
            }
            Lie::KeepsASecondSession => {
                site.begin(value)?;
                request.log_in(value, handler)
            }
            // Like a store that does not recognize renewals.
            Lie::RevivesByALateLogin => {
                site.log_out(&cookie)?;
                site.begin(value)
            }
            Lie::RefusesDoubleClicks => {
                sleep(handler);
                site.load(&cookie)?.log_in(value, Duration::ZERO)
            }
            _ => request.log_in(value, handler),
        }
    }
}

/// Returns the ledger's report after the visits of several threads, which run one after another.
fn report(framework: Framework, lie: Lie) -> Report {
    let target = MemorySession::new();
    let site = Lying { site: framework.site(Blocking::new(target.clone(), 8), runtime().unwrap()), lie };
    let written = Kept::default();
    let record = Record::begin(&target, 0, written.clone()).unwrap();
    for seed in 0..4 {
        let rounds = Cell::new(0);
        let stop = || rounds.replace(rounds.get() + 1) == 150;
        Visits::new(&site, &record, 0, seed).run(stop).unwrap();
    }
    written.settle(&target)
}

const FRAMEWORKS: [Framework; 2] = [Framework::TowerSessions, Framework::ActixSession];

#[test]
fn an_honest_store_has_nothing_against_it() {
    for framework in FRAMEWORKS {
        let report = report(framework, Lie::None);
        assert!(report.holds() && report.errors.is_empty(), "{framework:?}: {report}");
    }
}

#[test]
fn each_lie_is_found_out() {
    for framework in FRAMEWORKS {
        let report = |lie| report(framework, lie);
        assert!(report(Lie::ForgetsLogins).lost > 0);
        assert!(report(Lie::LogsInWithAnOldValue).lost > 0);
        assert!(report(Lie::KeepsASecondSession).half_written > 0);
        assert!(report(Lie::DropsSaves).lost > 0);
        let report_of_logouts = report(Lie::LogsNobodyOut);
        assert!(report_of_logouts.served_dead > 0 && report_of_logouts.revived > 0, "{report_of_logouts}");
        assert!(report(Lie::RevivesByALateLogin).revived > 0);
        assert!(report(Lie::TakesLateSaves).revived > 0);
    }
    // actix-session may refuse one of the two requests.
    assert!(report(Framework::TowerSessions, Lie::RefusesDoubleClicks).lost > 0);
}
