//! What was acknowledged, and whether it is still there.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use diesel_session::{Error, SessionKey};

use crate::event::{Call, Event, value};
use crate::report::Report;
use crate::target::Target;

/// Every session that clients told of. It judges by nothing but their record and what the store says afterwards.
#[derive(Debug)]
pub(crate) struct Ledger {
    value_size: usize,
    refusals_are_final: bool,
    sessions: HashMap<u64, Session>,
    dead: Vec<SessionKey>,
    counters: HashMap<u64, Counter>,
    acknowledged: u64,
    errors: BTreeMap<String, u64>,
    lost: u64,
    revived: u64,
    served_dead: u64,
    counted_twice: u64,
    last_acknowledged: Option<Instant>,
    longest_outage: Duration,
    longest_call: Duration,
    peak_memory: u64,
}

#[derive(Debug)]
struct Session {
    key: Option<SessionKey>,
    step: u32,
    short_lived: bool,
    /// The call that is under way, or that failed.
    open: Option<Call>,
}

/// A session that many count in at once.
#[derive(Debug)]
struct Counter {
    key: SessionKey,
    begun: u64,
    acknowledged: u64,
}

impl Ledger {
    /// A ledger of clients whose values have this size, in bytes.
    #[must_use]
    pub(crate) fn new(value_size: usize) -> Self {
        Self {
            value_size,
            refusals_are_final: false,
            sessions: HashMap::new(),
            dead: Vec::new(),
            counters: HashMap::new(),
            acknowledged: 0,
            errors: BTreeMap::new(),
            lost: 0,
            revived: 0,
            served_dead: 0,
            counted_twice: 0,
            last_acknowledged: None,
            longest_outage: Duration::ZERO,
            longest_call: Duration::ZERO,
            peak_memory: 0,
        }
    }

    /// How many calls were acknowledged so far.
    #[must_use]
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many calls failed so far.
    #[must_use]
    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// From now on, whatever the database refused has not taken effect: true where no connection is lost, so
    /// that no call is made twice.
    pub(crate) fn refusals_are_final(&mut self) {
        self.refusals_are_final = true;
    }

    /// The clients' next silence is none of the database's.
    pub(crate) fn nobody_calls(&mut self) {
        self.last_acknowledged = None;
    }

    /// Takes one line of a client's record.
    pub(crate) fn apply(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Begun { session, call } => self.begin(session, call)?,
            Event::Acknowledged { session, key } => {
                self.note_success();
                self.acknowledge(session, key)?;
            }
            Event::Counter { session, key } => {
                let key = key.parse().context("a key of the record")?;
                self.counters.insert(session, Counter { key, begun: 0, acknowledged: 0 });
            }
            Event::Counting { session } => self.counter(session)?.begun += 1,
            Event::Counted { session } => {
                self.note_success();
                self.counter(session)?.acknowledged += 1;
            }
            Event::Read => self.note_success(),
            Event::Unclear { session, error, refused } => {
                self.note_error(error);
                if refused && self.refusals_are_final {
                    self.withdraw(session)?;
                }
            }
            Event::Unread { error } => self.note_error(error),
            Event::Lost { session } => {
                self.lost += 1;
                self.sessions.remove(&session);
            }
            Event::Revived { .. } => self.revived += 1,
            Event::ServedDead { .. } => self.served_dead += 1,
            Event::Finished { longest_call, peak_memory } => {
                self.longest_call = self.longest_call.max(Duration::from_millis(longest_call));
                self.peak_memory = self.peak_memory.max(peak_memory);
            }
        }
        Ok(())
    }

    fn note_success(&mut self) {
        self.acknowledged += 1;
        let now = Instant::now();
        if let Some(last) = self.last_acknowledged.replace(now) {
            self.longest_outage = self.longest_outage.max(now - last);
        }
    }

    fn note_error(&mut self, error: String) {
        *self.errors.entry(error).or_default() += 1;
    }

    fn begin(&mut self, session: u64, call: Call) -> Result<()> {
        if let Call::Generate { short_lived } = call {
            self.sessions.insert(session, Session { key: None, step: 0, short_lived, open: Some(call) });
        } else {
            self.session(session)?.open = Some(call);
        }
        Ok(())
    }

    fn acknowledge(&mut self, session: u64, key: Option<String>) -> Result<()> {
        let key = key.map(|key| key.parse::<SessionKey>()).transpose().context("a key of the record")?;
        let account = self.session(session)?;
        match account.open.take().context("acknowledged without being asked for")? {
            Call::Generate { .. } => account.key = key,
            Call::Write { step } => account.step = step,
            Call::Rotate => {
                let old = std::mem::replace(&mut account.key, key);
                self.dead.extend(old);
            }
            Call::End => {
                let ended = account.key;
                self.dead.extend(ended);
                self.sessions.remove(&session);
            }
        }
        Ok(())
    }

    /// The call that is open has not taken effect.
    fn withdraw(&mut self, session: u64) -> Result<()> {
        let account = self.session(session)?;
        account.open = None;
        if account.key.is_none() {
            self.sessions.remove(&session);
        }
        Ok(())
    }

    fn session(&mut self, number: u64) -> Result<&mut Session> {
        self.sessions.get_mut(&number).with_context(|| format!("session {number} was never begun"))
    }

    fn counter(&mut self, number: u64) -> Result<&mut Counter> {
        self.counters.get_mut(&number).with_context(|| format!("session {number} is no counter"))
    }

    /// Looks for everything that was acknowledged, when the clients are done: what must live has its value, what is
    /// dead is not found, and the table holds no session beside these.
    pub(crate) fn settle(mut self, target: &dyn Target) -> Result<Report> {
        let mut found = 0;
        // Calls that failed or were cut off may have left a session under a key that nobody was told.
        let mut untold = 0;
        for (number, session) in &self.sessions {
            untold += u64::from(matches!(session.open, Some(Call::Generate { .. } | Call::Rotate)));
            let Some(key) = &session.key else { continue };
            match target.get(key) {
                Ok(read) => {
                    found += 1;
                    self.lost += u64::from(!session.may_hold(*number, &read, self.value_size));
                }
                Err(Error::NotFound) => self.lost += u64::from(!session.may_be_dead()),
                Err(other) => return Err(other).context("settling: a session that lives"),
            }
        }
        for counter in self.counters.values() {
            let counted: u64 = match target.get(&counter.key) {
                Ok(read) => read.parse().context("a counter's value")?,
                Err(Error::NotFound) => 0,
                Err(other) => return Err(other).context("settling: a session to count in"),
            };
            found += 1;
            self.lost += counter.acknowledged.saturating_sub(counted);
            self.counted_twice += counted.saturating_sub(counter.begun);
        }
        for key in &self.dead {
            match target.get(key) {
                Err(Error::NotFound) => {}
                Ok(_) | Err(Error::NotSet) => self.revived += 1,
                Err(other) => return Err(other).context("settling: a session that is dead"),
            }
        }
        let live = target.live().context("settling: counting")?;
        Ok(Report {
            acknowledged: self.acknowledged,
            faults: 0,
            sessions: self.sessions.len(),
            dead: self.dead.len(),
            errors: self.errors,
            lost: self.lost,
            revived: self.revived,
            served_dead: self.served_dead,
            counted_twice: self.counted_twice,
            half_written: live.saturating_sub(found + untold),
            longest_outage: self.longest_outage,
            longest_call: self.longest_call,
            peak_memory: self.peak_memory,
        })
    }
}

impl Session {
    fn may_hold(&self, number: u64, read: &str, size: usize) -> bool {
        let after = match self.open {
            Some(Call::Write { step }) => Some(step),
            _ => None,
        };
        [Some(self.step), after].into_iter().flatten().any(|step| read == value(number, step, size))
    }

    fn may_be_dead(&self) -> bool {
        self.short_lived || matches!(self.open, Some(Call::Rotate | Call::End))
    }
}
