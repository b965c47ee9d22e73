//! Everything that is known of a session: `find`, labels and the last use.

use chrono::TimeDelta;

use super::{is_about, is_absent, text, tick, unusable_keys};
use crate::error::Error;
use crate::session::{Expiry, NewSession};
use crate::sessions::Sessions;

/// `find` returns everything that is known of a session.
pub fn find_returns_everything_that_is_known(store: &impl Sessions) -> Result<(), Error> {
    let login = NewSession::new().owner("alice").label("Firefox on Linux").value("cart=3");
    let key = store.generate_with(&login.period(TimeDelta::hours(1)))?;
    let found = store.find(&key)?;
    assert_eq!(found.handle, store.handle(&key));
    assert_eq!(found.value.as_deref(), Some("cart=3"));
    assert_eq!(found.owner.as_deref(), Some("alice"));
    assert_eq!(found.label.as_deref(), Some("Firefox on Linux"));
    assert!(is_about(found.left, TimeDelta::hours(1)));
    // Databases round both dates.
    let lifetime = found.expires - found.created - TimeDelta::hours(1);
    assert!(lifetime.abs() < TimeDelta::milliseconds(20));
    assert_eq!(found.used, found.created, "it was not used yet");
    Ok(())
}

/// A session may have no value, no owner and no label. This is not an error.
pub fn find_tells_what_a_session_lacks(store: &impl Sessions) -> Result<(), Error> {
    let found = store.find(&store.generate_with(&NewSession::new())?)?;
    assert_eq!((found.value, found.owner, found.label), (None, None, None));
    assert!(is_about(found.left, TimeDelta::weeks(1)));
    Ok(())
}

/// `find` and `set_label` do not find an unknown, cleared or expired session, and leave it dead.
pub fn find_and_set_label_never_revive(store: &impl Sessions) -> Result<(), Error> {
    for key in unusable_keys(store)? {
        assert!(matches!(store.find(&key), Err(Error::NotFound)));
        assert!(matches!(store.set_label(&key, Some("x")), Err(Error::NotFound)));
        assert!(is_absent(store, &key));
    }
    Ok(())
}

/// With `Expiry::Keep`, `put`, `update` and `replace` do not move the expiry.
pub fn a_write_can_keep_the_expiry(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("a"), Some(TimeDelta::minutes(30)))?;
    let expires = store.find(&key)?.expires;
    tick();
    store.put(&key, "b", Expiry::Keep)?;
    assert_eq!(store.update(&key, Expiry::Keep, |_| Ok::<_, Error>(text("c")))?, "c");
    store.replace(&key, Some("c"), "d", Expiry::Keep)?;
    let found = store.find(&key)?;
    assert_eq!((found.value.as_deref(), found.expires), (Some("d"), expires));
    Ok(())
}

/// `put` moves the expiry to the default period from now, or to another period from now.
pub fn put_moves_the_expiry_as_told(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("a"), Some(TimeDelta::minutes(30)))?;
    store.put(&key, "b", Expiry::Default)?;
    assert!(is_about(store.get(&key)?.1, TimeDelta::weeks(1)));
    store.put(&key, "c", Expiry::After(TimeDelta::hours(1)))?;
    assert!(is_about(store.get(&key)?.1, TimeDelta::hours(1)));
    store.put(&key, "d", Expiry::After(TimeDelta::zero()))?;
    assert!(is_absent(store, &key));
    Ok(())
}

/// `put` and `touch` with `Expiry::Keep` neither create nor revive a session.
pub fn put_never_revives(store: &impl Sessions) -> Result<(), Error> {
    for key in unusable_keys(store)? {
        assert!(matches!(store.put(&key, "x", Expiry::Keep), Err(Error::NotFound)));
        assert!(matches!(store.touch(&key, Expiry::Keep), Err(Error::NotFound)));
        assert!(is_absent(store, &key));
    }
    Ok(())
}

/// Every write is a use of the session, and a read is not.
pub fn every_write_is_a_use(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("a"), Some(TimeDelta::hours(1)))?;
    let mut last = store.find(&key)?.used;
    let mut is_a_use = |what: &str| -> Result<(), Error> {
        let used = store.find(&key)?.used;
        assert!(used > last, "{what}");
        last = used;
        tick();
        Ok(())
    };
    tick();
    store.set(&key, "b", None)?;
    is_a_use("set")?;
    store.put(&key, "c", Expiry::Keep)?;
    is_a_use("put")?;
    store.update(&key, Expiry::Keep, |_| Ok::<_, Error>(text("d")))?;
    is_a_use("update")?;
    store.replace(&key, Some("d"), "e", Expiry::Keep)?;
    is_a_use("replace")?;
    store.touch(&key, Expiry::After(TimeDelta::weeks(2)))?;
    is_a_use("touch")?;
    store.bind(&key, "alice")?;
    is_a_use("bind")?;
    store.set_label(&key, Some("Firefox"))?;
    is_a_use("set_label")?;
    store.get(&key)?;
    store.sessions_of("alice", 10)?;
    let found = store.find(&key)?;
    assert_eq!(found.used, last, "reads are no use");

    let renewed = store.find(&store.rotate(&key)?)?;
    assert!(renewed.used > last && renewed.created == found.created, "rotate");
    Ok(())
}

/// `touch` with `Expiry::Keep` records the use, at most once per touch interval.
pub fn touch_can_record_the_use_alone(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("a"), Some(TimeDelta::minutes(30)))?;
    let before = store.find(&key)?;
    assert!(!store.touch(&key, Expiry::Keep)?, "within the touch interval of a minute");
    assert_eq!(store.find(&key)?.used, before.used);
    Ok(())
}

/// A label can be given later, changed and removed. The session's value and expiry stay the same.
pub fn a_label_can_be_set_and_taken_away(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("a"), Some(TimeDelta::minutes(30)))?;
    let expires = store.find(&key)?.expires;
    for label in [Some("Firefox on Linux"), Some("Safari \u{1f9ed} d'Ève"), Some(""), None] {
        store.set_label(&key, label)?;
        let found = store.find(&key)?;
        assert_eq!(found.label.as_deref(), label);
        assert_eq!((found.value.as_deref(), found.expires), (Some("a"), expires));
    }
    Ok(())
}

/// `rotate` keeps the label.
pub fn rotate_keeps_the_label(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate_with(&NewSession::new().label("Firefox on Linux"))?;
    let found = store.find(&store.rotate(&key)?)?;
    assert_eq!(found.label.as_deref(), Some("Firefox on Linux"));
    Ok(())
}

/// The page "your devices" shows each session with its label and its last use.
pub fn labels_and_the_last_use_are_listed(store: &impl Sessions) -> Result<(), Error> {
    let desktop = store.generate_with(&NewSession::new().owner("alice").label("Firefox on Linux"))?;
    tick();
    let phone = store.generate_for("alice", None, None)?;
    tick();
    store.put(&desktop, "x", Expiry::Keep)?;
    let listed = store.sessions_of("alice", 10)?;
    let labels: Vec<_> = listed.iter().map(|session| (session.handle, session.label.as_deref())).collect();
    let expected = [(store.handle(&phone), None), (store.handle(&desktop), Some("Firefox on Linux"))];
    assert_eq!(labels, expected);
    assert!(listed[1].used > listed[0].used && listed[1].created < listed[0].created);
    Ok(())
}

/// A label that is too long or has a NUL is refused, and never cut. Nothing is written.
pub fn a_label_that_no_database_holds_is_refused(store: &impl Sessions) -> Result<(), Error> {
    let longest = "l".repeat(255);
    let key = store.generate_with(&NewSession::new().owner("alice").label(&longest))?;
    let too_long = "é".repeat(128);
    let is_too_long =
        |error: Option<Error>| matches!(error, Some(Error::LabelTooLong { size: 256, limit: 255 }));
    assert!(is_too_long(store.set_label(&key, Some(&too_long)).err()));
    let start = |label| store.generate_with(&NewSession::new().owner("alice").label(label));
    assert!(is_too_long(start(&too_long).err()));
    let has_nul = |error: Option<Error>| matches!(error, Some(Error::LabelHasNul { position: 1 }));
    assert!(has_nul(store.set_label(&key, Some("a\0b")).err()));
    assert!(has_nul(start("a\0b").err()));
    assert_eq!(store.find(&key)?.label.as_deref(), Some(&*longest));
    assert_eq!(store.sessions_of("alice", 10)?.len(), 1);
    Ok(())
}
