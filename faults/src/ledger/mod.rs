//! The ledger: which calls were acknowledged, and whether their effect is still there.

mod account;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use diesel_session::SessionKey;

use self::account::{Account, Counter, Found};
use crate::event::{Call, Effect, Event, Failure, SHORT};
use crate::report::Report;
use crate::target::Target;

/// Every session in the clients' records. The ledger judges only by these records and by what the store returns
/// afterwards.
#[derive(Debug)]
pub(crate) struct Ledger {
    value_size: usize,
    refusals_are_final: bool,
    clients: HashMap<u64, Client>,
    accounts: HashMap<u64, Account>,
    counters: HashMap<u64, Counter>,
    dead: Vec<SessionKey>,
    report: Report,
}

#[derive(Debug, Default)]
struct Client {
    acknowledged: u64,
    last: Option<Instant>,
}

impl Ledger {
    /// Creates a ledger for clients whose values have `value_size` bytes.
    pub(crate) fn new(value_size: usize) -> Self {
        Self {
            value_size,
            refusals_are_final: false,
            clients: HashMap::new(),
            accounts: HashMap::new(),
            counters: HashMap::new(),
            dead: Vec::new(),
            report: Report::default(),
        }
    }

    /// Returns how many calls of this client have been acknowledged so far.
    pub(crate) fn acknowledged(&self, client: u64) -> u64 {
        self.clients.get(&client).map_or(0, |client| client.acknowledged)
    }

    /// Returns the report so far.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// Counts a fault that is about to be injected.
    pub(crate) fn note_fault(&mut self) {
        self.report.faults += 1;
    }

    /// From now on, the ledger assumes that a call has no effect if the database refuses it. This holds if no
    /// connection is lost, because then no call is retried.
    pub(crate) fn refusals_are_final(&mut self) {
        self.refusals_are_final = true;
    }

    /// Notes that this client makes no more calls. Its silence is then not an outage.
    pub(crate) fn forget_client(&mut self, client: u64) {
        self.clients.remove(&client);
    }

    /// Applies one line of a client's record.
    ///
    /// # Errors
    ///
    /// Fails if the record contradicts itself.
    pub(crate) fn apply(&mut self, client: u64, event: Event) -> Result<()> {
        match event {
            Event::Begun { session, call: Call::Generate { short_lived } } => {
                self.accounts.insert(session, Account::begun(short_lived));
            }
            Event::Begun { session, call } => self.account(session)?.begin(call),
            Event::Acknowledged { session, key } => {
                self.note_success(client);
                let key =
                    key.map(|key| key.parse::<SessionKey>()).transpose().context("a key of the record")?;
                let account = self.account(session)?;
                let call = account.open().context("the record acknowledges a call that never began")?;
                let died = account.acknowledge(call, key);
                self.dead.extend(died);
                self.forget_if_over(session);
            }
            Event::Failed { session, failure } => {
                let call = self.account(session)?.open();
                self.report.failed_logins += u64::from(matches!(call, Some(Call::LogIn { .. })));
                if self.has_no_effect(&failure) {
                    self.account(session)?.withdraw();
                    self.forget_if_over(session);
                }
                self.note_error(failure);
            }
            Event::Over { session } => {
                let died = self.account(session)?.end();
                self.dead.extend(died);
                self.forget_if_over(session);
            }
            Event::Counter { session, key } => {
                let key = key.parse().context("a key of the record")?;
                self.counters.insert(session, Counter { key, begun: 0, acknowledged: 0 });
            }
            Event::Counting { session } => self.counter(session)?.begun += 1,
            Event::Counted { session } => {
                self.note_success(client);
                self.counter(session)?.acknowledged += 1;
            }
            Event::Uncounted { session, failure } => {
                if self.has_no_effect(&failure) {
                    self.counter(session)?.begun -= 1;
                }
                self.note_error(failure);
            }
            Event::Read => self.note_success(client),
            Event::Unread { failure } => self.note_error(failure),
            Event::Lost { session } => {
                self.report.lost += 1;
                if let Some(account) = self.accounts.get_mut(&session) {
                    account.is_lost = true;
                }
            }
            Event::Revived => self.report.revived += 1,
            Event::ServedDead => self.report.served_dead += 1,
            Event::Finished { longest_call, peak_memory } => {
                let report = &mut self.report;
                report.longest_call = report.longest_call.max(Duration::from_millis(longest_call));
                report.peak_memory = report.peak_memory.max(peak_memory);
            }
        }
        Ok(())
    }

    fn note_success(&mut self, client: u64) {
        self.report.acknowledged += 1;
        let client = self.clients.entry(client).or_default();
        client.acknowledged += 1;
        let now = Instant::now();
        if let Some(last) = client.last.replace(now) {
            self.report.longest_outage = self.report.longest_outage.max(now - last);
        }
    }

    fn note_error(&mut self, failure: Failure) {
        *self.report.errors.entry(failure.kind).or_default() += 1;
    }

    fn has_no_effect(&self, failure: &Failure) -> bool {
        match failure.effect {
            Effect::None => true,
            Effect::Refused => self.refusals_are_final,
            Effect::Unknown => false,
        }
    }

    fn forget_if_over(&mut self, session: u64) {
        if self.accounts.get(&session).is_some_and(Account::is_over) {
            self.accounts.remove(&session);
        }
    }

    fn account(&mut self, number: u64) -> Result<&mut Account> {
        self.accounts.get_mut(&number).with_context(|| format!("session {number} has not begun"))
    }

    fn counter(&mut self, number: u64) -> Result<&mut Counter> {
        self.counters.get_mut(&number).with_context(|| format!("session {number} is not a counter"))
    }

    /// Looks for everything that was acknowledged, after the clients have stopped. A live session must have its value.
    /// A dead key must not be found. The table must hold the resulting number of sessions. After a failed login, the
    /// ledger logs out first.
    ///
    /// # Errors
    ///
    /// Fails if the store does not answer.
    pub(crate) fn settle(mut self, target: &dyn Target) -> Result<Report> {
        // By then, every short-lived session has expired.
        std::thread::sleep(Duration::from_millis(SHORT.into()));
        let (mut fewest, mut most) = (0, 0);
        for (number, account) in &self.accounts {
            let Found { rows, lost, revived, parked } = account.look(*number, self.value_size, target)?;
            fewest += rows.start();
            most += rows.end();
            self.report.lost += lost;
            self.report.revived += revived;
            self.report.parked += u64::from(parked);
        }
        for counter in self.counters.values() {
            let counted = counter.look(target)?;
            fewest += 1;
            most += 1;
            self.report.lost += counter.acknowledged.saturating_sub(counted);
            self.report.counted_twice += counted.saturating_sub(counter.begun);
        }
        for key in &self.dead {
            self.report.revived += u64::from(account::is_live(key, target)?);
        }
        let live = target.live().context("settling: counting")?;
        self.report.half_written = live.saturating_sub(most) + fewest.saturating_sub(live);
        self.report.settled = self.accounts.len() + self.counters.len();
        self.report.dead = self.dead.len();
        Ok(self.report)
    }
}
