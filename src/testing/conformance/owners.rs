//! Sessions of one owner.

use chrono::TimeDelta;

use super::{is_about, is_absent, tick, unusable_keys};
use crate::error::Error;
use crate::key::SessionKey;
use crate::session::SessionHandle;
use crate::sessions::Sessions;

/// The handles of an owner's sessions, the newest first.
fn handles(store: &impl Sessions, owner: &str) -> Result<Vec<SessionHandle>, Error> {
    Ok(store.sessions_of(owner, 100)?.into_iter().map(|session| session.handle).collect())
}

/// A session that is generated for an owner is a session like any other, and belongs to the owner.
pub fn generate_for_makes_a_session_of_the_owner(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate_for("alice", Some("x"), Some(TimeDelta::hours(1)))?;
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "x");
    assert!(is_about(left, TimeDelta::hours(1)));
    assert_eq!(handles(store, "alice")?, [store.handle(&key)]);
    Ok(())
}

/// `bind` gives a session an owner, or another owner. The value and the expiry stay the same.
pub fn bind_gives_a_session_an_owner(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("x"), Some(TimeDelta::hours(1)))?;
    assert!(handles(store, "alice")?.is_empty());
    store.bind(&key, "alice")?;
    assert_eq!(handles(store, "alice")?, [store.handle(&key)]);
    store.bind(&key, "bob")?;
    assert!(handles(store, "alice")?.is_empty());
    assert_eq!(handles(store, "bob")?, [store.handle(&key)]);
    let (value, left) = store.get(&key)?;
    assert_eq!(value, "x");
    assert!(is_about(left, TimeDelta::hours(1)));
    Ok(())
}

/// `bind` on an unknown, cleared or expired session returns *not found* and leaves it dead.
pub fn bind_never_revives(store: &impl Sessions) -> Result<(), Error> {
    for key in unusable_keys(store)? {
        assert!(matches!(store.bind(&key, "alice"), Err(Error::NotFound)));
        assert!(is_absent(store, &key));
    }
    assert!(handles(store, "alice")?.is_empty());
    Ok(())
}

/// The list has an owner's live sessions with their dates, the newest first.
pub fn an_owners_sessions_are_listed_newest_first(store: &impl Sessions) -> Result<(), Error> {
    let mut keys: Vec<SessionKey> = Vec::new();
    for hours in 1..=3 {
        keys.insert(0, store.generate_for("alice", None, Some(TimeDelta::hours(hours)))?);
        tick();
    }
    store.generate_for("bob", None, None)?;
    store.generate(None, None)?;
    let listed = store.sessions_of("alice", 100)?;
    assert_eq!(listed.len(), 3);
    for ((session, key), hours) in listed.iter().zip(&keys).zip([3, 2, 1]) {
        assert_eq!(session.handle, store.handle(key));
        assert!(is_about(
            session.expires - session.created,
            TimeDelta::hours(hours) + TimeDelta::milliseconds(10)
        ));
    }
    assert!(listed.is_sorted_by(|newer, older| newer.created > older.created));
    Ok(())
}

/// A list has at most as many sessions as were asked for, and those are the newest.
pub fn a_list_has_the_newest_of_an_owners_sessions(store: &impl Sessions) -> Result<(), Error> {
    store.generate_for("alice", None, None)?;
    tick();
    let newest = store.generate_for("alice", None, None)?;
    let listed = store.sessions_of("alice", 1)?;
    assert_eq!(listed.iter().map(|session| session.handle).collect::<Vec<_>>(), [store.handle(&newest)]);
    assert_eq!(store.sessions_of("alice", 0)?, []);
    Ok(())
}

/// Cleared and expired sessions are not listed.
pub fn only_live_sessions_are_listed(store: &impl Sessions) -> Result<(), Error> {
    let cleared = store.generate_for("alice", None, None)?;
    store.generate_for("alice", None, Some(TimeDelta::zero()))?;
    let live = store.generate_for("alice", None, None)?;
    store.clear(&cleared)?;
    assert_eq!(handles(store, "alice")?, [store.handle(&live)]);
    Ok(())
}

/// An owner without sessions has none to list and none to end.
pub fn an_unknown_owner_has_no_sessions(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate_for("alice", None, None)?;
    assert!(handles(store, "nobody")?.is_empty());
    assert_eq!(store.clear_owner("nobody", None)?, 0);
    assert_eq!(store.clear_owner("nobody", Some(&key))?, 0);
    assert!(!store.clear_listed("nobody", &store.handle(&key))?);
    assert_eq!(handles(store, "alice")?.len(), 1);
    Ok(())
}

/// 'Log out everywhere': all live sessions of the owner end, and no other session does.
pub fn clear_owner_ends_every_session_of_the_owner(store: &impl Sessions) -> Result<(), Error> {
    let one = store.generate_for("alice", Some("x"), None)?;
    let two = store.generate_for("alice", None, None)?;
    store.generate_for("alice", None, Some(TimeDelta::zero()))?;
    let bobs = store.generate_for("bob", Some("x"), None)?;
    let nobodys = store.generate(Some("x"), None)?;
    let before = store.count()?;
    assert_eq!(store.clear_owner("alice", None)?, 2, "those that were live");
    let after = store.count()?;
    assert_eq!(
        (before.live - after.live, before.expired - after.expired),
        (2, 1),
        "no row of theirs is left"
    );
    assert!(is_absent(store, &one));
    assert!(is_absent(store, &two));
    assert!(store.get(&bobs).is_ok());
    assert!(store.get(&nobodys).is_ok());
    assert_eq!(store.clear_owner("alice", None)?, 0);
    Ok(())
}

/// 'Log out everywhere else': the session to keep stays.
pub fn clear_owner_can_keep_one_session(store: &impl Sessions) -> Result<(), Error> {
    let other = store.generate_for("alice", None, None)?;
    let mine = store.generate_for("alice", Some("x"), None)?;
    assert_eq!(store.clear_owner("alice", Some(&mine))?, 1);
    assert!(is_absent(store, &other));
    assert_eq!(store.get(&mine)?.0, "x");
    Ok(())
}

/// `clear_others` ends every session of an owner except the one of a handle, and none if there is no such session.
pub fn clear_others_keeps_the_session_of_that_handle(store: &impl Sessions) -> Result<(), Error> {
    let mut keys: Vec<SessionKey> = Vec::new();
    for _ in 0..3 {
        keys.push(store.generate_for("alice", None, None)?);
    }
    let bobs = store.generate_for("bob", None, None)?;
    for none in [store.handle(&bobs), store.handle(&store.generate(None, None)?)] {
        assert!(matches!(store.clear_others("alice", &none), Err(Error::NotFound)));
        assert_eq!(handles(store, "alice")?.len(), 3);
    }
    let kept = store.handle(&keys[1]);
    assert_eq!(store.clear_others("alice", &kept)?, 2);
    assert_eq!(handles(store, "alice")?, [kept]);
    assert_eq!(store.clear_others("alice", &kept)?, 0);
    assert_eq!(handles(store, "bob")?, [store.handle(&bobs)]);
    Ok(())
}

/// A listed session can be ended by its handle, only by its owner, and only once.
pub fn clear_listed_ends_the_session_of_that_handle(store: &impl Sessions) -> Result<(), Error> {
    let one = store.generate_for("alice", Some("1"), None)?;
    let two = store.generate_for("alice", Some("2"), None)?;
    let handle: SessionHandle = store.handle(&one).to_string().parse()?;
    assert!(!store.clear_listed("bob", &handle)?);
    assert_eq!(store.get(&one)?.0, "1", "nobody ends another's session");
    assert!(store.clear_listed("alice", &handle)?);
    assert!(is_absent(store, &one));
    assert_eq!(store.get(&two)?.0, "2");
    assert!(!store.clear_listed("alice", &handle)?);
    Ok(())
}

/// A handle is of no use as a key.
pub fn a_handle_is_no_key(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate_for("alice", Some("x"), None)?;
    let handle = store.handle(&key).to_string();
    assert!(!key.as_str().contains(&handle));
    assert!(matches!(handle.parse::<SessionKey>(), Err(Error::NotFound)));
    let padded: SessionKey = format!("{handle:0<40}").parse()?;
    assert!(is_absent(store, &padded));
    assert!(matches!("not a handle".parse::<SessionHandle>(), Err(Error::NotFound)));
    Ok(())
}

/// An owner's name is refused if it has a NUL, more than 255 bytes, or the mark of renewals. Nothing is written.
pub fn an_owner_that_no_database_holds_is_refused(store: &impl Sessions) -> Result<(), Error> {
    let key = store.generate(Some("x"), None)?;
    let handle = store.handle(&key);
    let too_long = "é".repeat(128);
    for owner in ["a\0b", too_long.as_str(), "\u{1}alice"] {
        let is_refused = |error: Option<Error>| match error {
            Some(Error::OwnerHasNul { position: 1 }) => owner == "a\0b",
            Some(Error::OwnerTooLong { size: 256, limit: 255 }) => owner == too_long,
            Some(Error::OwnerReserved) => owner.starts_with('\u{1}'),
            _ => false,
        };
        assert!(is_refused(store.generate_for(owner, None, None).err()));
        assert!(is_refused(store.bind(&key, owner).err()));
        assert!(is_refused(store.sessions_of(owner, 100).err()));
        assert!(is_refused(store.clear_owner(owner, None).err()));
        assert!(is_refused(store.clear_listed(owner, &handle).err()));
    }
    assert_eq!(store.count()?.live, 1);
    Ok(())
}

/// Any other name is held, and is compared byte for byte.
pub fn an_owners_name_can_be_any_text(store: &impl Sessions) -> Result<(), Error> {
    let longest = "o".repeat(255);
    for owner in
        ["", " ", "alice", "Alice", "alice ", "'; DROP TABLE session; --", "ålice\n", "%", longest.as_str()]
    {
        let key = store.generate_for(owner, None, None)?;
        assert_eq!(handles(store, owner)?, [store.handle(&key)], "{owner:?}");
    }
    Ok(())
}

/// `find` returns the owner of a session, as long as the session lives.
pub fn find_says_whose_a_session_is(store: &impl Sessions) -> Result<(), Error> {
    let visitor = store.generate(Some("x"), None)?;
    assert_eq!(store.find(&visitor)?.owner, None);
    store.bind(&visitor, "alice")?;
    assert_eq!(store.find(&visitor)?.owner.as_deref(), Some("alice"));
    store.bind(&visitor, "bob")?;
    let rotated = store.rotate(&visitor)?;
    assert_eq!(store.find(&rotated)?.owner.as_deref(), Some("bob"));
    for key in unusable_keys(store)? {
        assert!(matches!(store.find(&key), Err(Error::NotFound)));
    }
    Ok(())
}
