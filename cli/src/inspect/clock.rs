//! Compares a server's clock with that of this machine.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryResult;

use super::{Finding, Level};

/// A login that takes a second is no reason to worry.
const TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// This machine's time before the server was asked.
pub(super) struct Clock(DateTime<Utc>);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Utc::now())
    }

    /// Takes the server's answer.
    pub(super) fn compare(self, answer: QueryResult<DateTime<Utc>>) -> Option<Finding> {
        let Self(before) = self;
        let finding = |reason, mend: &str| Finding {
            name: "clock",
            level: Level::Warning,
            reason,
            mend: mend.to_owned(),
        };
        match answer {
            Err(error) => Some(finding(format!("this could not be checked: {error}"), "try again")),
            Ok(theirs) if theirs < before - TOLERANCE || theirs > Utc::now() + TOLERANCE => Some(finding(
                format!(
                    "the server's clock differs from that of this machine by {} seconds",
                    (theirs - before).num_seconds()
                ),
                "run NTP on both machines",
            )),
            Ok(_) => None,
        }
    }
}
