//! The options of a store, which its clones share. They are checked before the store asks any database.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;

use crate::error::Error;
use crate::key::{KeyStorage, SessionKey, StoredKey};
use crate::session::{Expiry, SessionHandle};
use crate::table::SessionTable;

#[cfg(feature = "diesel-async")]
mod asynchronous;
mod builder;
mod pool;
mod texts;

#[cfg(feature = "diesel-async")]
pub(crate) use asynchronous::{AsyncSettings, CancelRequest, Establish};
pub use builder::Builder;
pub(crate) use pool::{ConnectionSettings, PoolSettings};
pub(crate) use texts::{ValueLimit, check_label, check_owner, check_text};

/// One week, as in session-postgresql.
const DEFAULT_PERIOD: TimeDelta = TimeDelta::weeks(1);

/// 1 MiB.
const DEFAULT_VALUE_LIMIT: usize = 1 << 20;

/// The character before the owner's name in the row of a session that is being renewed.
pub(crate) const PARKED: char = '\u{1}';

/// Some 2,700 years. PostgreSQL (4713 BC to 294276 AD) and chrono can hold much more.
pub(crate) const LONGEST_PERIOD: TimeDelta = TimeDelta::days(1_000_000);

/// The resolution of PostgreSQL's `timestamptz(2)`. SQLite's is one millisecond.
const RESOLUTION: TimeDelta = TimeDelta::milliseconds(10);

/// A period that every database can hold, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(i64);

impl Period {
    /// The lifetime if no limit is set. It is longer than the longest period.
    pub(crate) const ENDLESS: Self = Self(LONGEST_PERIOD.num_milliseconds() * 1_000 * 2);

    /// The longest time from a request's call that ends a session to its call that continues it.
    pub(crate) const RENEWAL: Self = Self(10 * 60 * 1_000_000);

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

/// The expiry of a session that is written: `period` from now, but at most `lifetime` after its creation.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    pub(crate) period: Period,
    pub(crate) lifetime: Period,
}

impl Deadline {
    /// Returns whether no limit of the lifetime is set.
    #[cfg_attr(
        feature = "mysql",
        allow(dead_code, reason = "MariaDB gains nothing from a statement for this case")
    )]
    pub(crate) fn is_endless(self) -> bool {
        self.lifetime == Period::ENDLESS
    }
}

/// The effect of a write on the expiry of an existing session.
#[derive(Debug, Clone, Copy)]
pub enum Renewal {
    /// Keeps the expiry, or moves it back to the end of this lifetime.
    Keep(Period),
    /// Sets a new expiry, counted from now.
    Until(Deadline),
}

/// How many live sessions one owner may have, and what happens to a further one. See
/// [`Builder::owner_limit`](crate::Builder::owner_limit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnerLimit {
    /// Allows at most this many. A further one is refused with [`Error::OwnerLimit`].
    Refuse(u32),
    /// Allows at most this many. A further one ends those that were generated first.
    EndOldest(u32),
}

impl OwnerLimit {
    /// Returns how many of `live` sessions must end before another one may begin.
    pub(crate) fn excess(self, live: i64) -> Result<i64, Error> {
        let (Self::Refuse(limit) | Self::EndOldest(limit)) = self;
        let excess = (live + 1 - i64::from(limit)).max(0);
        match self {
            Self::Refuse(limit) if excess > 0 => Err(Error::OwnerLimit { limit }),
            _ => Ok(excess),
        }
    }
}

/// The options of a store: its limits, and how it writes. [`Builder`](crate::Builder) has a method for each option,
/// with its meaning and its default. [`Builder::options`](crate::Builder::options) returns the result. An application
/// that holds its connections itself can use options without a store: see [`Options::on`].
#[derive(Debug, Clone)]
pub struct Options {
    default_period: DefaultPeriod,
    pub(crate) table: SessionTable,
    value_limit: ValueLimit,
    max_lifetime: Option<TimeDelta>,
    touch_interval: TimeDelta,
    owner_limit: Option<OwnerLimit>,
}

/// In microseconds. Only this option can change after the store was built. A later change does not reach a copy.
#[derive(Debug)]
struct DefaultPeriod(AtomicI64);

impl DefaultPeriod {
    fn new(period: Period) -> Self {
        Self(AtomicI64::new(period.0))
    }

    fn get(&self) -> Period {
        Period(self.0.load(Ordering::Relaxed))
    }
}

impl Clone for DefaultPeriod {
    fn clone(&self) -> Self {
        Self::new(self.get())
    }
}

impl Options {
    /// Checks the options, and returns them with another default period. `None` keeps the present default period.
    fn checked(&self, default_period: Option<TimeDelta>) -> Result<Self, Error> {
        let refuse = |setting, reason: &str| Err(Error::Configuration { setting, reason: reason.to_owned() });
        if self.max_lifetime.is_some_and(|lifetime| lifetime < RESOLUTION) {
            return refuse("max_lifetime", "at least 10 milliseconds");
        }
        if self.touch_interval < TimeDelta::zero() {
            return refuse("touch_interval", "zero or more");
        }
        if matches!(self.owner_limit, Some(OwnerLimit::Refuse(0) | OwnerLimit::EndOldest(0))) {
            return refuse("owner_limit", "at least one session");
        }
        self.max_lifetime.map(Period::new).transpose()?;
        let default_period = default_period.map_or(Ok(self.default_period.get()), Period::new)?;
        Ok(Self { default_period: DefaultPeriod::new(default_period), ..self.clone() })
    }

    pub(crate) fn default_period(&self) -> TimeDelta {
        TimeDelta::microseconds(self.default_period.get().0)
    }

    pub(crate) fn set_default_period(&self, period: TimeDelta) -> Result<(), Error> {
        self.default_period.0.store(Period::new(period)?.0, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the session table of these options, for its migrations.
    pub fn table(&self) -> &SessionTable {
        &self.table
    }

    pub(crate) fn key_storage(&self) -> KeyStorage {
        self.table.key_storage
    }

    pub(crate) fn owner_limit(&self) -> Option<OwnerLimit> {
        self.owner_limit
    }

    /// Returns the period of one write: the given period, or the default.
    fn period(&self, period: Option<TimeDelta>) -> Result<Period, Error> {
        period.map_or(Ok(self.default_period.get()), Period::new)
    }

    /// Returns how long a session may live after its creation.
    pub(crate) fn lifetime(&self) -> Period {
        self.max_lifetime.and_then(|lifetime| lifetime.num_microseconds()).map_or(Period::ENDLESS, Period)
    }

    /// Returns the effect of a write with this expiry on the session's own expiry.
    pub(crate) fn renewal(&self, expiry: Expiry) -> Result<Renewal, Error> {
        match expiry {
            Expiry::Default => self.deadline_after(None).map(Renewal::Until),
            Expiry::After(period) => self.deadline_after(Some(period)).map(Renewal::Until),
            Expiry::Keep => Ok(Renewal::Keep(self.lifetime())),
        }
    }

    /// Returns the deadline after a period, or after the default period.
    pub(crate) fn deadline_after(&self, period: Option<TimeDelta>) -> Result<Deadline, Error> {
        Ok(Deadline { period: self.period(period)?, lifetime: self.lifetime() })
    }

    /// Returns the period of a session that begins: at most the lifetime minus half of the column's resolution. The
    /// database may round `created_on` down by that much.
    pub(crate) fn first_period(&self, period: Option<TimeDelta>) -> Result<Period, Error> {
        let rounding = RESOLUTION.num_milliseconds() * 1_000 / 2;
        Ok(self.period(period)?.min(Period(self.lifetime().0 - rounding)))
    }

    /// Returns how old the recorded last use must be at least for a touch to write.
    pub(crate) fn touch_interval(&self) -> Period {
        let interval = self.touch_interval.clamp(RESOLUTION, LONGEST_PERIOD);
        Period(interval.num_milliseconds() * 1_000)
    }

    /// Returns by how much the expiry must move at least for a touch to write.
    pub(crate) fn touch_gain(&self, deadline: Deadline) -> Period {
        let tenth = Period(deadline.period.0 / 10);
        tenth.clamp(Period(RESOLUTION.num_milliseconds() * 1_000), self.touch_interval())
    }

    pub(crate) fn stored_key(&self, key: &SessionKey) -> StoredKey {
        StoredKey::new(key, self.key_storage())
    }

    pub(crate) fn handle(&self, key: &SessionKey) -> SessionHandle {
        SessionHandle::new(&self.stored_key(key))
    }

    pub(crate) fn check_value(&self, value: &str) -> Result<(), Error> {
        self.value_limit.check(value)
    }

    pub(crate) fn value_limit(&self) -> ValueLimit {
        self.value_limit
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_period: DefaultPeriod::new(Period(DEFAULT_PERIOD.num_milliseconds() * 1_000)),
            table: SessionTable::default(),
            value_limit: ValueLimit::new(DEFAULT_VALUE_LIMIT),
            max_lifetime: None,
            touch_interval: TimeDelta::minutes(1),
            owner_limit: None,
        }
    }
}
