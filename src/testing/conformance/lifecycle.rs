//! How sessions begin and end.

use super::{Subject, UNKNOWN, is_absent};
use crate::error::Error;
use crate::key::SessionKey;

/// No two keys are the same.
pub fn generated_keys_differ(store: &impl Subject) -> Result<(), Error> {
    let mut keys: Vec<String> = Vec::new();
    for _ in 0..100 {
        keys.push(store.generate(None, None)?.as_str().to_owned());
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 100);
    Ok(())
}

/// `get` returns the value that was given to `generate`.
pub fn generate_with_a_value_makes_it_readable(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some("cart=3"), None)?;
    assert_eq!(store.get(&key)?.0, "cart=3");
    assert_eq!(store.get(&key)?.0, "cart=3", "reading changes nothing");
    Ok(())
}

/// A session without a value is live. `get` returns *not set* until the first `set`.
pub fn generate_without_a_value_is_not_set_until_set(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(None, None)?;
    assert!(matches!(store.get(&key), Err(Error::NotSet)));
    store.set(&key, "x", None)?;
    assert_eq!(store.get(&key)?.0, "x");
    Ok(())
}

/// A key that no store generated names no session.
pub fn an_unknown_key_is_not_found(store: &impl Subject) -> Result<(), Error> {
    let unknown: SessionKey = UNKNOWN.parse()?;
    assert!(is_absent(store, &unknown));
    Ok(())
}

/// `set` on an unknown key returns *not found*. A client cannot choose its key, and no write is lost silently.
pub fn set_never_creates_a_session(store: &impl Subject) -> Result<(), Error> {
    let unknown: SessionKey = UNKNOWN.parse()?;
    assert!(matches!(store.set(&unknown, "x", None), Err(Error::NotFound)));
    assert!(matches!(store.get(&unknown), Err(Error::NotFound)));
    Ok(())
}

/// `set` on a cleared session returns *not found* and leaves it cleared. A late request cannot undo a logout.
pub fn set_never_revives_a_cleared_session(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some("x"), None)?;
    store.clear(&key)?;
    assert!(matches!(store.set(&key, "y", None), Err(Error::NotFound)));
    assert!(matches!(store.get(&key), Err(Error::NotFound)));
    Ok(())
}

/// After `clear` the key is absent for every operation. To clear it again is not an error.
pub fn clear_makes_the_key_absent_and_is_idempotent(store: &impl Subject) -> Result<(), Error> {
    let key = store.generate(Some("x"), None)?;
    store.clear(&key)?;
    assert!(is_absent(store, &key));
    store.clear(&key)?;
    Ok(())
}

/// `clear` ends only one session.
pub fn clear_leaves_other_sessions_alone(store: &impl Subject) -> Result<(), Error> {
    let one = store.generate(Some("one"), None)?;
    let two = store.generate(Some("two"), None)?;
    store.clear(&one)?;
    assert_eq!(store.get(&two)?.0, "two");
    Ok(())
}
