//! The load: threads that begin, use and end sessions of their own, and say so.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use diesel_session::{Error, SessionKey, TimeDelta};
use fastrand::Rng;

use crate::event::{Call, Event, kind, value};
use crate::memory;
use crate::target::Target;

/// Live sessions to a thread.
const KEPT: usize = 16;

/// What a short-lived session has.
const SHORT: TimeDelta = TimeDelta::milliseconds(300);

/// Born dead, and for the next sweep.
const LONG_AGO: TimeDelta = TimeDelta::hours(-2);

/// Where a client's record goes: a line is written whole, or, where the process is killed, not at all.
struct Record<'a, W> {
    out: Mutex<W>,
    next_session: AtomicU64,
    counter: (u64, SessionKey),
    longest_call: AtomicU64,
    stop: &'a AtomicBool,
}

impl<W: Write> Record<'_, W> {
    fn say(&self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&line).context("nobody reads the record")
    }
}

/// Loads a store from so many threads until `stop` is set, and writes the record to `out`.
pub(crate) fn run<W: Write + Send>(
    target: &dyn Target,
    threads: usize,
    first_session: u64,
    value_size: usize,
    out: W,
    stop: &AtomicBool,
) -> Result<()> {
    let counter = (first_session, target.generate("0".to_owned(), None).context("a session to count in")?);
    let record = Record {
        out: Mutex::new(out),
        next_session: AtomicU64::new(first_session + 1),
        counter,
        longest_call: AtomicU64::new(0),
        stop,
    };
    record.say(&Event::Counter { session: first_session, key: counter.1.as_str().to_owned() })?;
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|number| {
                let record = &record;
                scope.spawn(move || {
                    let random = Rng::with_seed(first_session + number as u64);
                    let visitor = Visitors {
                        target,
                        record,
                        value_size,
                        random,
                        live: Vec::new(),
                        dying: VecDeque::new(),
                    };
                    visitor.come_and_go()
                })
            })
            .collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("the load does not panic"))
    })?;
    record.say(&Event::Finished {
        longest_call: record.longest_call.load(Ordering::Relaxed),
        peak_memory: memory::peak()?,
    })
}

/// The visitors of one thread.
struct Visitors<'a, W> {
    target: &'a dyn Target,
    record: &'a Record<'a, W>,
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

impl<W: Write> Visitors<'_, W> {
    fn come_and_go(mut self) -> Result<()> {
        while !self.record.stop.load(Ordering::Relaxed) {
            if self.dying.front().is_some_and(|dying| dying.over <= Instant::now()) {
                let dying = self.dying.pop_front().expect("it was there");
                self.end_by_time(dying)?;
                continue;
            }
            let chance = self.random.u8(0..100);
            if self.live.is_empty() || (self.live.len() < KEPT && chance < 30) {
                self.generate()?;
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
        if let Some((session, key)) = self.begin(Some(SHORT))? {
            // Its time began before the answer came.
            let over = Instant::now() + SHORT.to_std()?;
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
        let session = self.record.next_session.fetch_add(1, Ordering::Relaxed);
        self.record.say(&Event::Begun { session, call: Call::Generate { short_lived: expiry.is_some() } })?;
        let target = self.target;
        let first = value(session, 0, self.value_size);
        let key = self.acknowledged(session, || target.generate(first, expiry), |key| Some(*key))?;
        Ok(key.map(|key| (session, key)))
    }

    fn get(&mut self, at: usize) -> Result<()> {
        let Live { session, key, step } = self.live[at];
        match self.timed(|| self.target.get(&key)) {
            Ok(read) if read == value(session, step, self.value_size) => self.record.say(&Event::Read),
            Ok(_) | Err(Error::NotFound | Error::NotSet) => self.lose(at),
            Err(error) => self.record.say(&Event::Unread { error: kind(&error) }),
        }
    }

    fn touch(&mut self, at: usize) -> Result<()> {
        let Live { key, .. } = self.live[at];
        match self.timed(|| self.target.touch(&key)) {
            Ok(()) => self.record.say(&Event::Read),
            Err(Error::NotFound) => self.lose(at),
            Err(error) => self.record.say(&Event::Unread { error: kind(&error) }),
        }
    }

    fn write(&mut self, at: usize) -> Result<()> {
        let Live { session, key, step } = self.live[at];
        let (old, new) = (value(session, step, self.value_size), value(session, step + 1, self.value_size));
        self.record.say(&Event::Begun { session, call: Call::Write { step: step + 1 } })?;
        let (target, way) = (self.target, self.random.u8(0..3));
        let write = || match way {
            0 => target.set(&key, new),
            1 => target.update(&key, new),
            _ => target.replace(&key, old, new),
        };
        match self.acknowledged(session, write, |()| None)? {
            Some(()) => self.live[at].step += 1,
            None => drop(self.live.swap_remove(at)),
        }
        Ok(())
    }

    fn count(&mut self) -> Result<()> {
        let (session, key) = self.record.counter;
        self.record.say(&Event::Counting { session })?;
        let event = match self.timed(|| self.target.count(&key)) {
            Ok(()) => Event::Counted { session },
            Err(Error::NotFound | Error::NotSet) => Event::Lost { session },
            Err(error) => Event::Unread { error: kind(&error) },
        };
        self.record.say(&event)
    }

    fn rotate(&mut self, at: usize) -> Result<()> {
        let Live { session, key: old, .. } = self.live[at];
        self.record.say(&Event::Begun { session, call: Call::Rotate })?;
        let target = self.target;
        if let Some(new) = self.acknowledged(session, || target.rotate(&old), |key| Some(*key))? {
            self.live[at].key = new;
            self.try_dead(session, &old)
        } else {
            self.live.swap_remove(at);
            Ok(())
        }
    }

    fn clear(&mut self, at: usize) -> Result<()> {
        let Live { session, key, .. } = self.live.swap_remove(at);
        self.record.say(&Event::Begun { session, call: Call::End })?;
        let target = self.target;
        match self.acknowledged(session, || target.clear(&key), |()| None)? {
            Some(()) => self.try_dead(session, &key),
            None => Ok(()),
        }
    }

    /// Its time is over: nothing is asked, but it is dead from now on.
    fn end_by_time(&mut self, dying: Dying) -> Result<()> {
        let Dying { session, key, .. } = dying;
        self.record.say(&Event::Begun { session, call: Call::End })?;
        self.record.say(&Event::Acknowledged { session, key: None })?;
        self.try_dead(session, &key)
    }

    fn try_dead(&mut self, session: u64, key: &SessionKey) -> Result<()> {
        let seen = match self.timed(|| self.target.get(key)) {
            Err(Error::NotFound) => Event::Read,
            Ok(_) | Err(Error::NotSet) => Event::ServedDead { session },
            Err(error) => Event::Unread { error: kind(&error) },
        };
        self.record.say(&seen)?;
        if self.random.u8(0..4) > 0 {
            return Ok(());
        }
        let written = match self.timed(|| self.target.set(key, "revived".to_owned())) {
            Err(Error::NotFound) => Event::Read,
            Ok(()) => Event::Revived { session },
            Err(error) => Event::Unread { error: kind(&error) },
        };
        self.record.say(&written)
    }

    /// Makes a call that changes a session, and says what came of it; `None` where it failed.
    fn acknowledged<T>(
        &self,
        session: u64,
        call: impl FnOnce() -> Result<T, Error>,
        key: impl FnOnce(&T) -> Option<SessionKey>,
    ) -> Result<Option<T>> {
        let (event, done) = match self.timed(call) {
            Ok(done) => {
                let key = key(&done).map(|key| key.as_str().to_owned());
                (Event::Acknowledged { session, key }, Some(done))
            }
            Err(Error::NotFound | Error::NotSet | Error::Changed) => (Event::Lost { session }, None),
            Err(error) => {
                let refused = matches!(error, Error::Database(_));
                (Event::Unclear { session, error: kind(&error), refused }, None)
            }
        };
        self.record.say(&event)?;
        Ok(done)
    }

    fn lose(&mut self, at: usize) -> Result<()> {
        let Live { session, .. } = self.live.swap_remove(at);
        self.record.say(&Event::Lost { session })
    }

    fn timed<T>(&self, call: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let answer = call();
        let taken = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.record.longest_call.fetch_max(taken, Ordering::Relaxed);
        answer
    }
}
