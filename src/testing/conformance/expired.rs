//! Expired sessions that are still in the table.

use chrono::TimeDelta;

use crate::error::Error;
use crate::sessions::Sessions;

/// `count` distinguishes live sessions from expired ones.
pub fn count_tells_live_from_expired(store: &impl Sessions) -> Result<(), Error> {
    let before = store.count()?;
    assert_eq!((before.live, before.expired), (0, 0));
    let cleared = store.generate(None, None)?;
    store.generate(None, None)?;
    store.generate_for("alice", None, None)?;
    store.generate(None, Some(TimeDelta::zero()))?;
    store.clear(&cleared)?;
    let after = store.count()?;
    assert_eq!((after.live, after.expired), (2, 1));
    Ok(())
}

/// `delete_expired` deletes at most `limit` sessions, nothing with a limit of zero, and never a live session.
pub fn delete_expired_deletes_what_has_expired_and_nothing_else(store: &impl Sessions) -> Result<(), Error> {
    let live = store.generate(Some("x"), None)?;
    for _ in 0..3 {
        store.generate(None, Some(TimeDelta::hours(-2)))?;
    }
    assert_eq!(store.delete_expired(0)?, 0);
    assert_eq!(store.delete_expired(2)?, 2);
    assert_eq!(store.delete_expired(2)?, 1);
    assert_eq!(store.delete_expired(2)?, 0);
    assert_eq!(store.get(&live)?.0, "x");
    assert_eq!(store.count()?.expired, 0);
    Ok(())
}
