//! What a store accepts: the rules of one handle, shared by its clones and checked before any database
//! is asked.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;

use crate::error::Error;
use crate::key::{KeyStorage, SessionKey, StoredKey};

/// One week, as in session-postgresql.
pub(crate) const DEFAULT_PERIOD: TimeDelta = TimeDelta::weeks(1);

/// 1 MiB.
pub(crate) const DEFAULT_VALUE_LIMIT: usize = 1 << 20;

/// Some 2,700 years: far inside what PostgreSQL (4713 BC to 294276 AD) and chrono can hold.
const LONGEST_PERIOD: TimeDelta = TimeDelta::days(1_000_000);

/// A period that every database can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(i64);

impl Period {
    pub(crate) fn new(period: TimeDelta) -> Result<Self, Error> {
        period
            .num_microseconds()
            .filter(|_| period.abs() <= LONGEST_PERIOD)
            .map(Self)
            .ok_or(Error::PeriodOutOfRange { period, limit: LONGEST_PERIOD })
    }

    pub(crate) fn microseconds(self) -> i64 {
        self.0
    }
}

/// What a store accepts and how it writes: default period, key storage and value limit. A
/// [`DieselSession`](crate::DieselSession) has them; alone they serve a host with connections of its own
/// ([`Rules::on`]). The defaults are one week, [`KeyStorage::Hashed`] and 1 MiB; others come from
/// [`Builder::rules`](crate::Builder::rules).
#[derive(Debug)]
pub struct Rules {
    default_period: AtomicI64,
    key_storage: KeyStorage,
    value_limit: usize,
}

impl Rules {
    pub(crate) fn new(default_period: Period, key_storage: KeyStorage, value_limit: usize) -> Self {
        Self { default_period: AtomicI64::new(default_period.0), key_storage, value_limit }
    }

    pub(crate) fn default_period(&self) -> TimeDelta {
        TimeDelta::microseconds(self.default_period.load(Ordering::Relaxed))
    }

    pub(crate) fn set_default_period(&self, period: TimeDelta) -> Result<(), Error> {
        self.default_period.store(Period::new(period)?.0, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn key_storage(&self) -> KeyStorage {
        self.key_storage
    }

    /// The period of one write: what was asked for, or the default.
    pub(crate) fn period(&self, expiry: Option<TimeDelta>) -> Result<Period, Error> {
        match expiry {
            Some(period) => Period::new(period),
            None => Ok(Period(self.default_period.load(Ordering::Relaxed))),
        }
    }

    pub(crate) fn stored_key(&self, key: &SessionKey) -> StoredKey {
        StoredKey::new(key, self.key_storage)
    }

    pub(crate) fn check_value(&self, value: &str) -> Result<(), Error> {
        if value.len() > self.value_limit {
            return Err(Error::ValueTooLarge { size: value.len(), limit: self.value_limit });
        }
        match value.bytes().position(|byte| byte == 0) {
            Some(position) => Err(Error::ValueHasNul { position }),
            None => Ok(()),
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            default_period: AtomicI64::new(DEFAULT_PERIOD.num_milliseconds() * 1_000),
            key_storage: KeyStorage::default(),
            value_limit: DEFAULT_VALUE_LIMIT,
        }
    }
}
