//! The record that a client writes, with one event per line.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use diesel_session::SessionKey;

use crate::event::Event;
use crate::memory;
use crate::target::Target;

/// The record of one client. Each line is complete, except that a kill can cut off the last one.
pub(crate) struct Record {
    out: Mutex<Box<dyn Write + Send>>,
    next_session: AtomicU64,
    counter: (u64, SessionKey),
    longest_call: AtomicU64,
}

impl Record {
    /// Begins the record and creates the session that all threads increment. It has the first number.
    pub(crate) fn begin(
        target: &dyn Target,
        first_session: u64,
        out: impl Write + Send + 'static,
    ) -> Result<Self> {
        let key = target.generate("0", None).context("creating the counter session")?;
        let record = Self {
            out: Mutex::new(Box::new(out)),
            next_session: AtomicU64::new(first_session + 1),
            counter: (first_session, key),
            longest_call: AtomicU64::new(0),
        };
        record.say(&Event::Counter { session: first_session, key: key.as_str().to_owned() })?;
        Ok(record)
    }

    pub(crate) fn say(&self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&line).context("the reader of the record is gone")
    }

    pub(crate) fn next_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn counter(&self) -> (u64, SessionKey) {
        self.counter
    }

    /// Makes a call and keeps the longest duration.
    pub(crate) fn timed<T>(&self, call: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let answer = call();
        let taken = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.longest_call.fetch_max(taken, Ordering::Relaxed);
        answer
    }

    pub(crate) fn finish(&self) -> Result<()> {
        let longest_call = self.longest_call.load(Ordering::Relaxed);
        self.say(&Event::Finished { longest_call, peak_memory: memory::peak()? })
    }
}
