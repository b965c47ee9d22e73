//! What a store accepts: the rules of one handle, shared by its clones and checked before any database
//! is asked.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;

use crate::error::Error;
use crate::key::{KeyStorage, SessionKey, StoredKey};
use crate::owner::{OwnerLimit, SessionHandle};
use crate::table::SessionTable;

/// One week, as in session-postgresql.
const DEFAULT_PERIOD: TimeDelta = TimeDelta::weeks(1);

/// 1 MiB.
const DEFAULT_VALUE_LIMIT: usize = 1 << 20;

/// Bytes of an owner's name.
const OWNER_LIMIT: usize = 255;

/// Some 2,700 years: far inside what PostgreSQL (4713 BC to 294276 AD) and chrono can hold.
pub(crate) const LONGEST_PERIOD: TimeDelta = TimeDelta::days(1_000_000);

/// What PostgreSQL's `timestamptz(2)` tells apart; SQLite tells milliseconds apart.
const RESOLUTION: TimeDelta = TimeDelta::milliseconds(10);

/// A period that every database can hold, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(i64);

impl Period {
    /// Longer than the longest period either way: for whom no limit is set.
    const ENDLESS: Self = Self(LONGEST_PERIOD.num_milliseconds() * 1_000 * 2);

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

/// How long a session lives on from a write: `period` from now, and never past `lifetime` from when it was
/// created.
#[derive(Debug, Clone, Copy)]
pub struct Expiry {
    pub(crate) period: Period,
    pub(crate) lifetime: Period,
}

impl Expiry {
    /// Whether no lifetime was set.
    pub(crate) fn is_endless(self) -> bool {
        self.lifetime == Period::ENDLESS
    }
}

/// What a store accepts and how it writes. A [`DieselSession`](crate::DieselSession) has such rules; alone they
/// serve a host with connections of its own ([`Rules::on`]). [`Builder`](crate::Builder) has a method for each, which
/// says what it means and its default; [`Builder::rules`](crate::Builder::rules) gives the result.
#[derive(Debug)]
pub struct Rules {
    default_period: AtomicI64,
    settings: Settings,
}

/// The rules that stay as they were made.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) table: SessionTable,
    pub(crate) value_limit: usize,
    pub(crate) max_lifetime: Option<TimeDelta>,
    pub(crate) touch_interval: TimeDelta,
    pub(crate) owner_limit: Option<OwnerLimit>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            table: SessionTable::default(),
            value_limit: DEFAULT_VALUE_LIMIT,
            max_lifetime: None,
            touch_interval: TimeDelta::minutes(1),
            owner_limit: None,
        }
    }
}

impl Rules {
    /// The rules, where no setting contradicts itself; `None` is the default period.
    pub(crate) fn new(default_period: Option<TimeDelta>, settings: Settings) -> Result<Self, Error> {
        let refuse = |setting, reason: &str| Err(Error::Configuration { setting, reason: reason.to_owned() });
        if settings.max_lifetime.is_some_and(|lifetime| lifetime < RESOLUTION) {
            return refuse("max_lifetime", "at least 10 milliseconds");
        }
        if settings.touch_interval < TimeDelta::zero() {
            return refuse("touch_interval", "zero or more");
        }
        if matches!(settings.owner_limit, Some(OwnerLimit::Refuse(0) | OwnerLimit::EndOldest(0))) {
            return refuse("owner_limit", "at least one session");
        }
        settings.max_lifetime.map(Period::new).transpose()?;
        let default_period = Period::new(default_period.unwrap_or(DEFAULT_PERIOD))?;
        Ok(Self { default_period: AtomicI64::new(default_period.0), settings })
    }

    pub(crate) fn default_period(&self) -> TimeDelta {
        TimeDelta::microseconds(self.default_period.load(Ordering::Relaxed))
    }

    pub(crate) fn set_default_period(&self, period: TimeDelta) -> Result<(), Error> {
        self.default_period.store(Period::new(period)?.0, Ordering::Relaxed);
        Ok(())
    }

    /// The table that these rules mean: for its migrations.
    pub fn table(&self) -> &SessionTable {
        &self.settings.table
    }

    pub(crate) fn key_storage(&self) -> KeyStorage {
        self.settings.table.key_storage
    }

    pub(crate) fn owner_limit(&self) -> Option<OwnerLimit> {
        self.settings.owner_limit
    }

    /// The period of one write: what was asked for, or the default.
    fn period(&self, expiry: Option<TimeDelta>) -> Result<Period, Error> {
        match expiry {
            Some(period) => Period::new(period),
            None => Ok(Period(self.default_period.load(Ordering::Relaxed))),
        }
    }

    /// The longest life of a session, from when it was created.
    pub(crate) fn lifetime(&self) -> Period {
        self.settings
            .max_lifetime
            .and_then(|lifetime| lifetime.num_microseconds())
            .map_or(Period::ENDLESS, Period)
    }

    /// The expiry of a write to a session that exists.
    pub(crate) fn expiry(&self, expiry: Option<TimeDelta>) -> Result<Expiry, Error> {
        Ok(Expiry { period: self.period(expiry)?, lifetime: self.lifetime() })
    }

    /// The period of a session that begins. `created_on` may have been rounded down by half of what the column
    /// tells apart, so that much less than the lifetime.
    pub(crate) fn first_period(&self, expiry: Option<TimeDelta>) -> Result<Period, Error> {
        let rounding = RESOLUTION.num_milliseconds() * 1_000 / 2;
        Ok(self.period(expiry)?.min(Period(self.lifetime().0 - rounding)))
    }

    /// What a touch must gain at least, to be worth a write.
    pub(crate) fn touch_step(&self, period: Period) -> Period {
        let interval = self.settings.touch_interval;
        let step = interval.min(TimeDelta::microseconds(period.0 / 10)).max(RESOLUTION);
        Period(step.num_milliseconds() * 1_000)
    }

    pub(crate) fn stored_key(&self, key: &SessionKey) -> StoredKey {
        StoredKey::new(key, self.key_storage())
    }

    pub(crate) fn handle(&self, key: &SessionKey) -> SessionHandle {
        SessionHandle::new(&self.stored_key(key))
    }

    pub(crate) fn check_value(&self, value: &str) -> Result<(), Error> {
        let limit = self.settings.value_limit;
        if value.len() > limit {
            return Err(Error::ValueTooLarge { size: value.len(), limit });
        }
        check_text(value)
    }
}

/// What no database's text column holds.
pub(crate) fn check_text(value: &str) -> Result<(), Error> {
    match nul(value) {
        Some(position) => Err(Error::ValueHasNul { position }),
        None => Ok(()),
    }
}

pub(crate) fn check_owner(owner: &str) -> Result<(), Error> {
    if owner.len() > OWNER_LIMIT {
        return Err(Error::OwnerTooLong { size: owner.len(), limit: OWNER_LIMIT });
    }
    match nul(owner) {
        Some(position) => Err(Error::OwnerHasNul { position }),
        None => Ok(()),
    }
}

/// The place of the first NUL, in bytes.
fn nul(text: &str) -> Option<usize> {
    text.bytes().position(|byte| byte == 0)
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            default_period: AtomicI64::new(DEFAULT_PERIOD.num_milliseconds() * 1_000),
            settings: Settings::default(),
        }
    }
}
