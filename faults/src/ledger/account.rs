//! What is known about one session.

use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use diesel_session::{Error, SessionKey, TimeDelta};

use crate::event::{Call, WEEK, value};
use crate::target::Target;
use crate::web::value_of;

/// A session that one thread uses.
#[derive(Debug)]
pub(super) struct Account {
    /// The last key that the client received, unless the session has ended under it.
    key: Option<SessionKey>,
    step: u32,
    /// How many days the session was to live when it was last written or touched.
    days: u16,
    short_lived: bool,
    /// The calls that failed and may have taken effect. The last one may still be running.
    open: Vec<Call>,
    /// The session was already reported as lost.
    pub(super) is_lost: bool,
}

/// The result of looking for a session.
pub(super) struct Found {
    /// How many rows of the table can belong to this session.
    pub(super) rows: RangeInclusive<u64>,
    pub(super) lost: u64,
    pub(super) revived: u64,
    /// A login was cut off between its two calls.
    pub(super) parked: bool,
}

impl Account {
    pub(super) fn begun(short_lived: bool) -> Self {
        let open = vec![Call::Generate { short_lived }];
        Self { key: None, step: 0, days: WEEK, short_lived, open, is_lost: false }
    }

    pub(super) fn begin(&mut self, call: Call) {
        self.open.push(call);
    }

    pub(super) fn open(&self) -> Option<Call> {
        self.open.last().copied()
    }

    /// Notes that the last call took effect. Returns the key that is dead now, if any.
    pub(super) fn acknowledge(&mut self, call: Call, key: Option<SessionKey>) -> Option<SessionKey> {
        self.open.pop();
        match call {
            Call::Generate { .. } => {
                self.key = key;
                None
            }
            Call::Write { step } => {
                (self.step, self.days) = (step, WEEK);
                None
            }
            Call::Touch { days } => {
                self.days = self.days.max(days);
                None
            }
            Call::Rotate => std::mem::replace(&mut self.key, key),
            Call::LogIn { step } => {
                (self.step, self.days) = (step, WEEK);
                std::mem::replace(&mut self.key, key)
            }
            Call::Clear => {
                // This also ends whatever failed calls may have left under any key.
                self.open.clear();
                self.end()
            }
        }
    }

    /// Notes that the last call has not taken effect.
    pub(super) fn withdraw(&mut self) {
        self.open.pop();
    }

    /// Notes that the session is dead under its key, and returns this key.
    pub(super) fn end(&mut self) -> Option<SessionKey> {
        self.key.take()
    }

    /// Whether the session can have left nothing in the table.
    pub(super) fn is_over(&self) -> bool {
        self.key.is_none() && self.open.is_empty()
    }

    pub(super) fn look(&self, number: u64, size: usize, target: &dyn Target) -> Result<Found> {
        let is_open = |call: Call| self.open.contains(&call);
        let found = |rows, lost, revived| Found { rows, lost, revived, parked: false };
        let Some(key) = &self.key else {
            // The client never received a key.
            let untold = is_open(Call::Generate { short_lived: false });
            return Ok(found(0..=u64::from(untold), 0, 0));
        };
        if self.is_lost {
            return Ok(found(0..=1, 0, 0));
        }
        if self.short_lived {
            let revived = u64::from(is_live(key, target)?);
            return Ok(found(revived..=revived, 0, revived));
        }
        if self.open.iter().any(|call| matches!(call, Call::LogIn { .. })) {
            return self.look_after_login(number, size, key, target);
        }
        match target.get(key) {
            Ok((read, left)) => {
                let is_lost = !self.may_be(number, size, &read, left);
                // A pending `clear` may still take effect.
                let fewest = u64::from(!is_open(Call::Clear));
                Ok(found(fewest..=1, u64::from(is_lost), 0))
            }
            // The session may have a key that the client never received. It may also have been cleared before that.
            Err(Error::NotFound) if is_open(Call::Rotate) => {
                Ok(found(u64::from(!is_open(Call::Clear))..=1, 0, 0))
            }
            Err(Error::NotFound) if is_open(Call::Clear) => Ok(found(0..=0, 0, 0)),
            Err(Error::NotFound | Error::NotSet) => Ok(found(0..=1, 1, 0)),
            Err(other) => Err(other).context("settling: a live session"),
        }
    }

    /// A failed login leaves one of three things: the old session, the new one under a key that the client never
    /// received, or no session. This method logs out with the old key, as a visitor would. Nothing may be left then.
    fn look_after_login(
        &self,
        number: u64,
        size: usize,
        key: &SessionKey,
        target: &dyn Target,
    ) -> Result<Found> {
        const WHERE: &str = "settling: a failed login";
        let is_lost = match target.get(key) {
            Ok((read, left)) => !self.may_be(number, size, &read, left),
            Err(Error::NotFound) => false,
            Err(Error::NotSet) => true,
            Err(other) => return Err(other).context(WHERE),
        };
        let live = target.live().context(WHERE)?;
        target.clear(key).context(WHERE)?;
        let parked = target.live().context(WHERE)? == live && !self.open.contains(&Call::Clear);
        let revived = u64::from(is_live(key, target)?);
        Ok(Found { rows: 0..=0, lost: u64::from(is_lost), revived, parked })
    }

    /// Whether this is the acknowledged state, or the state after a failed call that took effect.
    fn may_be(&self, number: u64, size: usize, read: &str, left: TimeDelta) -> bool {
        let written = self.open.iter().filter_map(|call| match call {
            Call::Write { step } => Some(*step),
            _ => None,
        });
        let days = if written.clone().next().is_some() { WEEK } else { self.days };
        // One day covers the length of a run, and the part of a period that a touch may skip to save a write.
        let is_long = left >= TimeDelta::days(i64::from(days) - 1);
        let read = value_of(read).unwrap_or_else(|| read.to_owned());
        is_long && written.chain([self.step]).any(|step| read == value(number, step, size))
    }
}

/// A session that many threads increment at the same time.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) key: SessionKey,
    pub(super) begun: u64,
    pub(super) acknowledged: u64,
}

impl Counter {
    /// Returns the number in the session. A value that is not a number counts as 0.
    pub(super) fn look(&self, target: &dyn Target) -> Result<u64> {
        match target.get(&self.key) {
            Ok((read, _left)) => Ok(read.parse().unwrap_or(0)),
            Err(Error::NotFound | Error::NotSet) => Ok(0),
            Err(other) => Err(other).context("settling: a counter session"),
        }
    }
}

pub(super) fn is_live(key: &SessionKey, target: &dyn Target) -> Result<bool> {
    match target.get(key) {
        Ok(_) | Err(Error::NotSet) => Ok(true),
        Err(Error::NotFound) => Ok(false),
        Err(other) => Err(other).context("settling: a dead session"),
    }
}
