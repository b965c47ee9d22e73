//! Laws for a store with a longest lifetime of one hour and at most two live sessions per owner.

use chrono::TimeDelta;

use super::{is_about, is_absent, text, tick};
use crate::error::Error;
use crate::session::Expiry;
use crate::sessions::Sessions;

/// The longest lifetime of the stores that these laws test.
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// No operation moves a session's expiry past its lifetime, and `get` returns the rest of the lifetime.
pub fn no_write_outlives_the_lifetime(store: &impl Sessions) -> Result<(), Error> {
    for asked in [TimeDelta::days(1), LIFETIME + TimeDelta::milliseconds(1)] {
        let key = store.generate(Some("x"), Some(asked))?;
        let shortest = |key| store.get(key).is_ok_and(|(_, left)| is_about(left, LIFETIME));
        assert!(shortest(&key), "generate");
        store.set(&key, "y", Some(asked))?;
        assert!(shortest(&key), "set");
        store.touch(&key, Expiry::After(asked))?;
        assert!(shortest(&key), "touch");
        store.update(&key, Expiry::After(asked), |_| Ok::<_, Error>(text("z")))?;
        assert!(shortest(&key), "update");
        store.replace(&key, Some("z"), "x", Expiry::After(asked))?;
        assert!(shortest(&key), "replace");
        let key = store.rotate(&key)?;
        assert!(shortest(&key), "rotate");
    }
    store.generate(None, None)?;
    store.generate_for("alice", None, None)?;
    for session in store.sessions_of("alice", 100)? {
        assert!(session.expires <= session.created + LIFETIME);
    }
    Ok(())
}

/// A period shorter than the lifetime stays as it was asked for.
pub fn a_shorter_period_than_the_lifetime_stands(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("x"), Some(TimeDelta::minutes(10)))?;
    assert!(is_about(store.get(&key)?.1, TimeDelta::minutes(10)));
    store.set(&key, "y", Some(TimeDelta::minutes(5)))?;
    assert!(is_about(store.get(&key)?.1, TimeDelta::minutes(5)));
    assert!(store.touch(&key, Expiry::After(TimeDelta::minutes(20)))?);
    assert!(is_about(store.get(&key)?.1, TimeDelta::minutes(20)));
    Ok(())
}

/// A touch of a session that ends with its lifetime records the use, and does not move the expiry.
pub fn touch_ends_at_the_lifetime(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("x"), Some(TimeDelta::minutes(10)))?;
    assert!(store.touch(&key, Expiry::After(TimeDelta::days(1)))?);
    let before = store.find(&key)?;
    tick();
    assert!(store.touch(&key, Expiry::After(TimeDelta::days(1)))?);
    let after = store.find(&key)?;
    assert_eq!(after.expires, before.expires);
    assert!(after.used > before.used);
    Ok(())
}

/// These stores have a touch interval of zero, so every gain is written.
pub fn without_a_touch_interval_every_gain_is_written(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("x"), Some(TimeDelta::minutes(10)))?;
    assert!(store.touch(&key, Expiry::After(TimeDelta::minutes(10) + TimeDelta::seconds(1)))?);
    Ok(())
}

/// The third session of an owner ends the oldest one, both by `generate_for` and by `bind`.
pub fn another_session_of_an_owner_ends_the_oldest(store: &impl Sessions) -> Result<(), Error> {
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(store.generate_for("alice", Some("x"), None)?);
        tick();
    }
    assert!(is_absent(store, &keys[0]));
    let visitor = store.generate(Some("x"), None)?;
    store.bind(&visitor, "alice")?;
    assert!(is_absent(store, &keys[1]));
    let listed: Vec<_> = store.sessions_of("alice", 100)?.into_iter().map(|session| session.handle).collect();
    assert_eq!(listed, [store.handle(&visitor), store.handle(&keys[2])]);
    Ok(())
}

/// Expired sessions, sessions of other owners and the session itself do not count.
pub fn only_other_live_sessions_of_the_owner_count(store: &impl Sessions) -> Result<(), Error> {
    let one = store.generate_for("alice", Some("x"), None)?;
    let two = store.generate_for("alice", Some("x"), None)?;
    store.generate_for("bob", None, None)?;
    store.generate_for("bob", None, Some(TimeDelta::zero()))?;
    store.bind(&one, "alice")?;
    let two = store.rotate(&two)?;
    store.generate_for("bob", None, None)?;
    assert_eq!(store.sessions_of("alice", 100)?.len(), 2);
    assert_eq!(store.sessions_of("bob", 100)?.len(), 2);
    assert!(store.get(&one).is_ok() && store.get(&two).is_ok());
    Ok(())
}

/// With `OwnerLimit::Refuse` the third session is refused, and nothing is written. After one session ends, there is
/// room.
pub fn another_session_of_an_owner_is_refused(store: &impl Sessions) -> Result<(), Error> {
    let one = store.generate_for("alice", Some("x"), None)?;
    let two = store.generate_for("alice", Some("x"), None)?;
    let visitor = store.generate(Some("x"), None)?;
    let refused = store.generate_for("alice", None, None);
    assert!(matches!(refused, Err(Error::OwnerLimit { limit: 2 })));
    assert!(matches!(store.bind(&visitor, "alice"), Err(Error::OwnerLimit { limit: 2 })));
    assert_eq!(store.count()?.live, 3);
    assert_eq!(store.sessions_of("alice", 100)?.len(), 2);
    assert_eq!(store.find(&visitor)?.owner, None);
    assert!([&one, &two, &visitor].iter().all(|key| store.get(key).is_ok()));
    store.clear(&one)?;
    store.bind(&visitor, "alice")?;
    assert_eq!(store.sessions_of("alice", 100)?.len(), 2);
    Ok(())
}
