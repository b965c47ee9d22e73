//! The report on a run.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// The figures of one run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Calls that succeeded.
    pub acknowledged: u64,
    /// How many faults were injected.
    pub faults: u32,
    /// Calls that failed, by the kind of error.
    pub errors: BTreeMap<String, u64>,
    /// Sessions that the ledger looked for at the end, because they live or may live.
    pub settled: usize,
    /// Keys that the ledger tried at the end, because they are dead.
    pub dead: usize,
    /// Logins through a framework that failed, so that the visitor did not know the outcome.
    pub failed_logins: u64,
    /// Logins that were cut off between their two calls because their client ended.
    pub parked: u64,
    /// Acknowledged states that were missing.
    pub lost: u64,
    /// Dead sessions that accepted a write or were there at the end.
    pub revived: u64,
    /// Dead sessions that were read.
    pub served_dead: u64,
    /// Increments of the counter sessions beyond those that were requested.
    pub counted_twice: u64,
    /// Sessions in the table that no call can have left there, and sessions that a rotation lost.
    pub half_written: u64,
    /// The longest time in which no call of one client succeeded.
    pub longest_outage: Duration,
    /// The duration of the longest call, of clients that were not killed.
    pub longest_call: Duration,
    /// The highest peak memory of one of these clients, in KiB.
    pub peak_memory: u64,
}

impl Report {
    /// Whether every acknowledged state was kept and every failed call is explained by a fault.
    #[must_use]
    pub fn holds(&self) -> bool {
        [self.lost, self.revived, self.served_dead, self.counted_twice, self.half_written] == [0; 5]
            && !self.errors.keys().any(|kind| kind.starts_with("unexpected"))
    }

    /// Returns how many calls failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Combines this report with that of a run on another database at the same time.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            faults: self.faults + other.faults,
            errors: self.errors,
            settled: self.settled + other.settled,
            dead: self.dead + other.dead,
            failed_logins: self.failed_logins + other.failed_logins,
            parked: self.parked + other.parked,
            lost: self.lost + other.lost,
            revived: self.revived + other.revived,
            served_dead: self.served_dead + other.served_dead,
            counted_twice: self.counted_twice + other.counted_twice,
            half_written: self.half_written + other.half_written,
            longest_outage: self.longest_outage.max(other.longest_outage),
            longest_call: self.longest_call.max(other.longest_call),
            peak_memory: self.peak_memory.max(other.peak_memory),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { settled, dead, counted_twice, half_written, .. } = self;
        writeln!(
            f,
            "settled {settled} sessions and {dead} dead keys, counted twice {counted_twice}, half written {half_written}"
        )?;
        let longest_call = self.longest_call.as_secs_f32();
        writeln!(f, "longest call {longest_call:.1} s, peak memory {} MiB", self.peak_memory / 1024)?;
        if self.parked + self.failed_logins > 0 {
            writeln!(
                f,
                "logins failed {}, cut off between their two calls {}",
                self.failed_logins, self.parked
            )?;
        }
        for (kind, count) in &self.errors {
            writeln!(f, "error {kind}: {count}")?;
        }
        write!(
            f,
            "acknowledged {}, faults {}, lost {}, revived {}, served dead {}, longest outage {:.1} s",
            self.acknowledged,
            self.faults,
            self.lost,
            self.revived,
            self.served_dead,
            self.longest_outage.as_secs_f32(),
        )
    }
}
