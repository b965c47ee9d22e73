//! Dates and periods on databases that keep them in milliseconds since 1970 in UTC.

use chrono::{DateTime, TimeDelta, Utc};

use crate::key::StoredKey;
use crate::options::Period;
use crate::session::{Session, SessionHandle};

/// Rounds down, so that no session outlives the period that was asked for.
pub(crate) fn milliseconds(period: Period) -> i64 {
    period.microseconds().div_euclid(1_000)
}

/// Converts a time of the table. A time outside chrono's range becomes the nearest one inside it.
pub(crate) fn date(milliseconds: i64) -> DateTime<Utc> {
    let nearest = if milliseconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp_millis(milliseconds).unwrap_or(nearest)
}

/// A session's value, owner and label; then when it was created, when it was last used, when it expires, and how long
/// until then.
pub(crate) type FoundRow = ((Option<String>, Option<String>, Option<String>), (i64, i64, i64, i64));

/// Returns the session under a key.
pub(crate) fn found(key: &StoredKey, ((value, owner, label), dates): FoundRow) -> Session {
    let (created, used, expires, left) = dates;
    let (created, used, expires) = (date(created), date(used), date(expires));
    let (handle, left) = (SessionHandle::new(key), TimeDelta::milliseconds(left));
    Session { handle, value, owner, label, created, used, expires, left }
}
