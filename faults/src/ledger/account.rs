//! What is known of one session.

use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use diesel_session::{Error, SessionKey, TimeDelta};

use crate::event::{Call, WEEK, value};
use crate::target::Target;
use crate::web::value_of;

/// A session that one thread uses.
#[derive(Debug)]
pub(super) struct Account {
    /// Of the last key that anybody was told, if the session was not ended under it.
    key: Option<SessionKey>,
    step: u32,
    /// So many days it was to live when it was last written or prolonged.
    days: u16,
    short_lived: bool,
    /// The calls that failed and may have taken effect; the last may be under way.
    open: Vec<Call>,
    /// It was missed already.
    pub(super) is_lost: bool,
}

/// What a look showed.
pub(super) struct Found {
    /// How many rows of the table are this session's.
    pub(super) rows: RangeInclusive<u64>,
    pub(super) lost: u64,
    pub(super) revived: u64,
    /// A login was cut off between its halves.
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

    /// The last call took effect. Returns the key that is dead now.
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
                // It ends whatever calls that failed may have left, too: under any key.
                self.open.clear();
                self.end()
            }
        }
    }

    /// The last call has not taken effect.
    pub(super) fn withdraw(&mut self) {
        self.open.pop();
    }

    /// The session is dead under its key, which this returns.
    pub(super) fn end(&mut self) -> Option<SessionKey> {
        self.key.take()
    }

    /// Whether it can have left nothing.
    pub(super) fn is_over(&self) -> bool {
        self.key.is_none() && self.open.is_empty()
    }

    pub(super) fn look(&self, number: u64, size: usize, target: &dyn Target) -> Result<Found> {
        let is_open = |call: Call| self.open.contains(&call);
        let found = |rows, lost, revived| Found { rows, lost, revived, parked: false };
        let Some(key) = &self.key else {
            // Never told of.
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
                // The end that was asked for may come yet.
                let fewest = u64::from(!is_open(Call::Clear));
                Ok(found(fewest..=1, u64::from(is_lost), 0))
            }
            // Under a key that nobody was told, and maybe cleared before it had that.
            Err(Error::NotFound) if is_open(Call::Rotate) => {
                Ok(found(u64::from(!is_open(Call::Clear))..=1, 0, 0))
            }
            Err(Error::NotFound) if is_open(Call::Clear) => Ok(found(0..=0, 0, 0)),
            Err(Error::NotFound | Error::NotSet) => Ok(found(0..=1, 1, 0)),
            Err(other) => Err(other).context("settling: a session that lives"),
        }
    }

    /// A login that failed leaves the old session, or the new one under a key that nobody was told, or none. It does what
    /// its visitor would do, and logs out with the old key: then nothing is left.
    fn look_after_login(
        &self,
        number: u64,
        size: usize,
        key: &SessionKey,
        target: &dyn Target,
    ) -> Result<Found> {
        const WHERE: &str = "settling: a login that failed";
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

    /// Whether this is what was acknowledged, or what a call that failed has made of it.
    fn may_be(&self, number: u64, size: usize, read: &str, left: TimeDelta) -> bool {
        let written = self.open.iter().filter_map(|call| match call {
            Call::Write { step } => Some(*step),
            _ => None,
        });
        let days = if written.clone().next().is_some() { WEEK } else { self.days };
        // A day more than any run takes, and than a touch may find not worth a write.
        let is_long = left >= TimeDelta::days(i64::from(days) - 1);
        let read = value_of(read).unwrap_or_else(|| read.to_owned());
        is_long && written.chain([self.step]).any(|step| read == value(number, step, size))
    }
}

/// A session that many count in at once.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) key: SessionKey,
    pub(super) begun: u64,
    pub(super) acknowledged: u64,
}

impl Counter {
    /// What it says; a value that is no number says nothing.
    pub(super) fn look(&self, target: &dyn Target) -> Result<u64> {
        match target.get(&self.key) {
            Ok((read, _left)) => Ok(read.parse().unwrap_or(0)),
            Err(Error::NotFound | Error::NotSet) => Ok(0),
            Err(other) => Err(other).context("settling: a session to count in"),
        }
    }
}

pub(super) fn is_live(key: &SessionKey, target: &dyn Target) -> Result<bool> {
    match target.get(key) {
        Ok(_) | Err(Error::NotSet) => Ok(true),
        Err(Error::NotFound) => Ok(false),
        Err(other) => Err(other).context("settling: a session that is dead"),
    }
}
