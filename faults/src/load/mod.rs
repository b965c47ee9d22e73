//! The load: each thread begins, uses and ends its own sessions, and records every call.

#[cfg(test)]
mod tests;
mod visits;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Result;
use diesel_session::{Error, Expiry, SessionKey, TimeDelta};
use fastrand::Rng;

use crate::event::{Call, Event, Failure, SHORT, WEEK, value};
use crate::record::Record;
use crate::target::Target;

pub(crate) use visits::Visits;

/// The maximum number of live sessions per thread.
const KEPT: usize = 16;

/// An expiry in the past: the session is dead at once, and the next sweep deletes it.
const LONG_AGO: TimeDelta = TimeDelta::hours(-2);

/// The visitors that one thread simulates.
pub(crate) struct Visitors<'a> {
    target: &'a dyn Target,
    record: &'a Record,
    value_size: usize,
    random: Rng,
    live: Vec<Live>,
    dying: VecDeque<Dying>,
}

#[derive(Debug, Clone, Copy)]
struct Live {
    session: u64,
    key: SessionKey,
    step: u32,
}

#[derive(Debug, Clone, Copy)]
struct Dying {
    session: u64,
    key: SessionKey,
    over: Instant,
}

impl<'a> Visitors<'a> {
    pub(crate) fn new(target: &'a dyn Target, record: &'a Record, value_size: usize, seed: u64) -> Self {
        let random = Rng::with_seed(seed);
        Self { target, record, value_size, random, live: Vec::new(), dying: VecDeque::new() }
    }

    /// Uses the store until `stop` returns true.
    pub(crate) fn run(mut self, stop: impl Fn() -> bool) -> Result<()> {
        while !stop() {
            if let Some(dying) = self.dying.front().copied().filter(|dying| dying.over <= Instant::now()) {
                self.dying.pop_front();
                self.end_by_time(dying)?;
                continue;
            }
            let chance = self.random.u8(0..100);
            if self.live.len() < KEPT && chance < 30 {
                self.generate()?;
                continue;
            }
            if self.live.is_empty() {
                self.count()?;
                continue;
            }
            let at = self.random.usize(0..self.live.len());
            match chance {
                0..30 => self.get(at)?,
                30..35 => self.count()?,
                35..65 => self.write(at)?,
                65..75 => self.touch(at)?,
                75..85 => self.rotate(at)?,
                85..93 => self.clear(at)?,
                93..97 => self.generate_short_lived()?,
                _ => self.generate_born_dead()?,
            }
        }
        Ok(())
    }

    fn generate(&mut self) -> Result<()> {
        if let Some((session, key)) = self.begin(None)? {
            self.live.push(Live { session, key, step: 0 });
        }
        Ok(())
    }

    fn generate_short_lived(&mut self) -> Result<()> {
        if let Some((session, key)) = self.begin(Some(TimeDelta::milliseconds(SHORT.into())))? {
            // The session's period began before the answer arrived, so it has ended by this time.
            let over = Instant::now() + Duration::from_millis(SHORT.into());
            self.dying.push_back(Dying { session, key, over });
        }
        Ok(())
    }

    fn generate_born_dead(&mut self) -> Result<()> {
        match self.begin(Some(LONG_AGO))? {
            Some((session, key)) => self.end_by_time(Dying { session, key, over: Instant::now() }),
            None => Ok(()),
        }
    }

    fn begin(&mut self, expiry: Option<TimeDelta>) -> Result<Option<(u64, SessionKey)>> {
        let session = self.record.next_session();
        self.record.say(&Event::Begun { session, call: Call::Generate { short_lived: expiry.is_some() } })?;
        let target = self.target;
        let first = value(session, 0, self.value_size);
        let key = self.acknowledged(session, || target.generate(&first, expiry), |key| Some(*key))?;
        Ok(key.map(|key| (session, key)))
    }

    fn get(&mut self, at: usize) -> Result<()> {
        let Live { session, key, step } = self.live[at];
        match self.record.timed(|| self.target.get(&key)) {
            Ok((read, _left)) if read == value(session, step, self.value_size) => {
                self.record.say(&Event::Read)
            }
            Ok(_) | Err(Error::NotFound | Error::NotSet) => self.lose(at),
            Err(error) => self.record.say(&Event::Unread { failure: Failure::of(&error) }),
        }
    }

    /// Touches the session, either with its current period, which mostly writes nothing, or with a longer one.
    fn touch(&mut self, at: usize) -> Result<()> {
        let Live { session, key, .. } = self.live[at];
        if self.random.bool() {
            return match self.record.timed(|| self.target.touch(&key, Expiry::Default)) {
                Ok(()) => self.record.say(&Event::Read),
                Err(Error::NotFound) => self.lose(at),
                Err(error) => self.record.say(&Event::Unread { failure: Failure::of(&error) }),
            };
        }
        let days = self.longer();
        self.record.say(&Event::Begun { session, call: Call::Touch { days } })?;
        let (target, expiry) = (self.target, Expiry::After(TimeDelta::days(days.into())));
        match self.acknowledged(session, || target.touch(&key, expiry), |()| None)? {
            Some(()) => Ok(()),
            None => self.give_up(at),
        }
    }

    /// Returns a number of days longer than the default period.
    fn longer(&mut self) -> u16 {
        self.random.u16(WEEK + 1..100)
    }

    fn write(&mut self, at: usize) -> Result<()> {
        let Live { session, key, step } = self.live[at];
        let (old, new) = (value(session, step, self.value_size), value(session, step + 1, self.value_size));
        self.record.say(&Event::Begun { session, call: Call::Write { step: step + 1 } })?;
        let (target, way) = (self.target, self.random.u8(0..3));
        let write = || match way {
            0 => target.set(&key, &new),
            1 => target.update(&key, &new),
            _ => target.replace(&key, &old, &new),
        };
        if self.acknowledged(session, write, |()| None)?.is_some() {
            self.live[at].step += 1;
            Ok(())
        } else {
            self.give_up(at)
        }
    }

    /// Increments the session that all threads share, in a transaction that locks it. Sometimes it only touches that
    /// session, with a single statement.
    fn count(&mut self) -> Result<()> {
        let (session, key) = self.record.counter();
        if self.random.u8(0..4) == 0 {
            let expiry = Expiry::After(TimeDelta::days(self.longer().into()));
            let event = match self.record.timed(|| self.target.touch(&key, expiry)) {
                Ok(()) => Event::Read,
                Err(Error::NotFound) => Event::Lost { session },
                Err(error) => Event::Unread { failure: Failure::of(&error) },
            };
            return self.record.say(&event);
        }
        self.record.say(&Event::Counting { session })?;
        let event = match self.record.timed(|| self.target.count(&key)) {
            Ok(()) => Event::Counted { session },
            Err(Error::NotFound | Error::NotSet) => Event::Lost { session },
            Err(error) => Event::Uncounted { session, failure: Failure::of(&error) },
        };
        self.record.say(&event)
    }

    fn rotate(&mut self, at: usize) -> Result<()> {
        let Live { session, key: old, .. } = self.live[at];
        self.record.say(&Event::Begun { session, call: Call::Rotate })?;
        let target = self.target;
        if let Some(new) = self.acknowledged(session, || target.rotate(&old), |key| Some(*key))? {
            self.live[at].key = new;
            self.try_dead(&old)
        } else {
            self.give_up(at)
        }
    }

    /// Leaves or logs out, as a visitor does after a failed call.
    fn give_up(&mut self, at: usize) -> Result<()> {
        if self.random.bool() {
            return self.clear(at);
        }
        self.live.swap_remove(at);
        Ok(())
    }

    fn clear(&mut self, at: usize) -> Result<()> {
        let Live { session, key, .. } = self.live.swap_remove(at);
        self.record.say(&Event::Begun { session, call: Call::Clear })?;
        let target = self.target;
        match self.acknowledged(session, || target.clear(&key), |()| None)? {
            Some(()) => self.try_dead(&key),
            None => Ok(()),
        }
    }

    fn end_by_time(&mut self, dying: Dying) -> Result<()> {
        self.record.say(&Event::Over { session: dying.session })?;
        self.try_dead(&dying.key)
    }

    fn try_dead(&mut self, key: &SessionKey) -> Result<()> {
        let seen = match self.record.timed(|| self.target.get(key)) {
            Err(Error::NotFound) => Event::Read,
            Ok(_) | Err(Error::NotSet) => Event::ServedDead,
            Err(error) => Event::Unread { failure: Failure::of(&error) },
        };
        self.record.say(&seen)?;
        if self.random.u8(0..4) > 0 {
            return Ok(());
        }
        let written = match self.record.timed(|| self.target.set(key, "revived")) {
            Err(Error::NotFound) => Event::Read,
            Ok(()) => Event::Revived,
            Err(error) => Event::Unread { failure: Failure::of(&error) },
        };
        self.record.say(&written)
    }

    /// Makes a call that changes a session, and records its outcome. Returns `None` if the call failed.
    fn acknowledged<T>(
        &self,
        session: u64,
        call: impl FnOnce() -> Result<T, Error>,
        key: impl FnOnce(&T) -> Option<SessionKey>,
    ) -> Result<Option<T>> {
        let (event, done) = match self.record.timed(call) {
            Ok(done) => {
                let key = key(&done).map(|key| key.as_str().to_owned());
                (Event::Acknowledged { session, key }, Some(done))
            }
            Err(Error::NotFound | Error::NotSet | Error::Changed) => (Event::Lost { session }, None),
            Err(error) => (Event::Failed { session, failure: Failure::of(&error) }, None),
        };
        self.record.say(&event)?;
        Ok(done)
    }

    fn lose(&mut self, at: usize) -> Result<()> {
        let Live { session, .. } = self.live.swap_remove(at);
        self.record.say(&Event::Lost { session })
    }
}
