//! Groups of sessions by a number: seconds, or bytes.

use std::time::Duration;

use serde_json::{Value, json};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The bounds of a session's age, in seconds.
pub(super) const AGES: &[i64] = &[60, 600, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY];
/// The bounds of the time that is left, in seconds.
pub(super) const LEFT: &[i64] = AGES;
/// The bounds of a value's size, in bytes.
pub(super) const SIZES: &[i64] = &[1, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10];

/// How many sessions lie below each bound, and above the one before. The last bucket has no bound.
pub(super) struct Buckets {
    bounds: &'static [i64],
    sessions: Vec<u64>,
}

impl Buckets {
    /// Adds up sessions: the place of the bucket, and how many they are.
    pub(super) fn of(bounds: &'static [i64], sessions: impl Iterator<Item = (i64, i64)>) -> Self {
        let mut sums = vec![0; bounds.len() + 1];
        for (place, number) in sessions {
            let place = usize::try_from(place).unwrap_or(0).min(bounds.len());
            sums[place] += number.unsigned_abs();
        }
        Self { bounds, sessions: sums }
    }

    /// Returns the name of each bucket, and how many sessions it has.
    pub(super) fn named(&self, text: fn(i64) -> String) -> Vec<(String, u64)> {
        let below = self.bounds.iter().map(|bound| match bound {
            1 => "empty".to_owned(),
            bound => format!("under {}", text(*bound)),
        });
        let rest = self.bounds.last().map(|bound| format!("{} or more", text(*bound)));
        below.chain(rest).zip(self.sessions.iter().copied()).collect()
    }

    pub(super) fn rows(&self, text: fn(i64) -> String) -> Vec<Vec<String>> {
        self.named(text).into_iter().map(|(name, sessions)| vec![name, sessions.to_string()]).collect()
    }

    /// The last bucket has no bound.
    pub(super) fn as_json(&self) -> Value {
        let bounds = self.bounds.iter().map(Some).chain([None]);
        bounds
            .zip(&self.sessions)
            .map(|(below, sessions)| json!({ "below": below, "sessions": sessions }))
            .collect()
    }
}

pub(super) fn duration(seconds: i64) -> String {
    humantime::format_duration(Duration::from_secs(seconds.unsigned_abs())).to_string()
}

/// A bound of [`SIZES`].
pub(super) fn bytes(bytes: i64) -> String {
    if bytes < 1 << 10 { format!("{bytes} B") } else { format!("{} KiB", bytes >> 10) }
}
