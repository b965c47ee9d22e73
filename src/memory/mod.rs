//! Sessions in this process's memory: a map that answers the same queries as a database.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

use crate::database::{NewRow, Texts};
use crate::key::StoredKey;
use crate::options::{Deadline, Period, Renewal};
use crate::session::{OwnedSession, Session, SessionHandle};

mod admin;
mod owners;
mod queries;
mod saves;
mod tombstones;

/// All sessions of a store. Times are microseconds since 1970, by a clock that never goes back.
#[allow(missing_debug_implementations, reason = "it holds keys and values")]
pub struct Table {
    rows: HashMap<StoredKey, Row>,
    /// If a transaction is open, the rows as they were before it changed them. `None` stands for a row that it
    /// inserted.
    undo: Option<Vec<(StoredKey, Option<Row>)>>,
    started: Instant,
    started_on: i64,
}

#[derive(Clone)]
struct Row {
    value: Option<String>,
    owner: Option<String>,
    label: Option<String>,
    created_on: i64,
    used_on: i64,
    /// From this time on the session is dead.
    expire_date: i64,
}

impl Row {
    fn new(row: NewRow<'_>, created_on: i64, now: i64, expire_date: i64) -> Self {
        let copy = |text: Option<&str>| text.map(str::to_owned);
        let (value, owner, label) = (copy(row.value), copy(row.owner), copy(row.label));
        Self { value, owner, label, created_on, used_on: now, expire_date }
    }

    fn texts(&self) -> Texts {
        (self.value.clone(), self.owner.clone(), self.label.clone())
    }

    fn is_of(&self, owner: &str) -> bool {
        self.owner.as_deref() == Some(owner)
    }

    /// Returns when the session expires after a write at this time.
    fn expiry(&self, deadline: Deadline, now: i64) -> i64 {
        now.saturating_add(deadline.period.microseconds()).min(self.end_of_life(deadline.lifetime))
    }

    fn end_of_life(&self, lifetime: Period) -> i64 {
        self.created_on.saturating_add(lifetime.microseconds())
    }

    fn is_not_used_for(&self, interval: Period, now: i64) -> bool {
        now >= self.used_on.saturating_add(interval.microseconds())
    }

    fn write(&mut self, value: &str, renewal: Renewal, now: i64) {
        self.value = Some(value.to_owned());
        self.expire_date = match renewal {
            Renewal::Keep(lifetime) => self.expire_date.min(self.end_of_life(lifetime)),
            Renewal::Until(deadline) => self.expiry(deadline, now),
        };
    }

    fn session(&self, key: &StoredKey, now: i64) -> Session {
        let OwnedSession { handle, label, created, used, expires } = self.owned_session(key);
        let (value, owner, _) = self.texts();
        let left = TimeDelta::microseconds(self.expire_date - now);
        Session { handle, value, owner, label, created, used, expires, left }
    }

    fn owned_session(&self, key: &StoredKey) -> OwnedSession {
        let (created, used, expires) = (date(self.created_on), date(self.used_on), date(self.expire_date));
        OwnedSession { handle: SessionHandle::new(key), label: self.label.clone(), created, used, expires }
    }
}

impl Default for Table {
    fn default() -> Self {
        let started_on = DateTime::<Utc>::from(SystemTime::now()).timestamp_micros();
        Self { rows: HashMap::new(), undo: None, started: Instant::now(), started_on }
    }
}

/// Returns the date, or the nearest one that chrono can hold.
fn date(microseconds: i64) -> DateTime<Utc> {
    let nearest = if microseconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp_micros(microseconds).unwrap_or(nearest)
}

impl Table {
    fn now(&self) -> i64 {
        let elapsed = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.started_on.saturating_add(elapsed)
    }

    /// Returns the live row under a key, and the time.
    fn live(&self, key: &StoredKey) -> Option<(&Row, i64)> {
        let now = self.now();
        self.rows.get(key).filter(|row| row.expire_date > now).map(|row| (row, now))
    }

    /// Changes the live row under a key if it meets a condition. Returns `false` if it does not, or if there is no live
    /// row.
    fn change(
        &mut self,
        key: &StoredKey,
        condition: impl FnOnce(&Row, i64) -> bool,
        change: impl FnOnce(&mut Row, i64),
    ) -> bool {
        let now = self.now();
        let is_it = |row: &&mut Row| row.expire_date > now && condition(row, now);
        let Some(row) = self.rows.get_mut(key).filter(is_it) else { return false };
        if let Some(undo) = &mut self.undo {
            undo.push((*key, Some(row.clone())));
        }
        change(row, now);
        row.used_on = now;
        true
    }

    /// Inserts a row. Returns `false` if the key is taken.
    fn insert_row(&mut self, key: StoredKey, row: Row) -> bool {
        let Entry::Vacant(place) = self.rows.entry(key) else { return false };
        place.insert(row);
        if let Some(undo) = &mut self.undo {
            undo.push((key, None));
        }
        true
    }

    /// Removes rows, and returns those that were there.
    fn remove_rows(&mut self, keys: &[StoredKey]) -> Vec<Row> {
        let mut removed = Vec::new();
        for key in keys {
            let Some(row) = self.rows.remove(key) else { continue };
            if let Some(undo) = &mut self.undo {
                undo.push((*key, Some(row.clone())));
            }
            removed.push(row);
        }
        removed
    }

    fn undo(&mut self) {
        for (key, row) in self.undo.take().unwrap_or_default().into_iter().rev() {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
    }
}
