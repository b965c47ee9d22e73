//! The sessions of all owners, for an administrator.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{is_absent, unusable_keys};
use crate::error::Error;
use crate::key::SessionKey;
use crate::page::SessionCursor;
use crate::session::{NewSession, Session};
use crate::sessions::Sessions;

/// Lists all sessions by pages of this size, and each cursor as a page would send it back.
fn listed(store: &impl Sessions, owner: Option<&str>, limit: u32) -> Result<Vec<Session>, Error> {
    let (mut sessions, mut after): (Vec<Session>, Option<SessionCursor>) = (Vec::new(), None);
    loop {
        let page = store.list(owner, after.as_ref(), limit)?;
        assert!(page.sessions.len() <= usize::try_from(limit.max(1)).unwrap_or(usize::MAX));
        assert!(page.next.is_none() || !page.sessions.is_empty());
        sessions.extend(page.sessions);
        match page.next {
            Some(next) => after = Some(next.to_string().parse()?),
            None => return Ok(sessions),
        }
    }
}

/// The handles of sessions, in their own order.
fn handles(sessions: impl IntoIterator<Item = Session>) -> BTreeSet<String> {
    sessions.into_iter().map(|session| session.handle.to_string()).collect()
}

/// Some sessions with an owner, and others without one.
fn some(store: &impl Sessions, number: usize) -> Result<Vec<SessionKey>, Error> {
    let owners = [None, Some("alice"), Some("bob")];
    (0..number)
        .map(|number| match owners[number % 3] {
            Some(owner) => store.generate_with(&NewSession::new().owner(owner).label("Firefox").value("x")),
            None => store.generate(None, None),
        })
        .collect()
}

/// All pages together have each live session once, with everything that is known of it, and no key.
pub fn list_has_every_live_session_once(store: &impl Sessions) -> Result<(), Error> {
    let keys = some(store, 10)?;
    unusable_keys(store)?;
    for limit in [0, 1, 3, 10, 11, u32::MAX] {
        let sessions = listed(store, None, limit)?;
        assert_eq!(sessions.len(), keys.len());
        for key in &keys {
            let Some(session) = sessions.iter().find(|session| session.handle == store.handle(key)) else {
                panic!("a session is missing");
            };
            let found = store.find(key)?;
            assert!(session.left >= found.left);
            assert_eq!(Session { left: found.left, ..session.clone() }, found);
        }
    }
    Ok(())
}

/// A list can be that of one owner.
pub fn list_can_have_one_owners_sessions(store: &impl Sessions) -> Result<(), Error> {
    some(store, 10)?;
    for owner in ["alice", "bob"] {
        let sessions = listed(store, Some(owner), 2)?;
        assert_eq!(sessions.len(), 3);
        assert!(sessions.iter().all(|session| session.owner.as_deref() == Some(owner)));
    }
    assert_eq!(listed(store, Some("carol"), 2)?, []);
    assert!(matches!(store.list(Some("a\0"), None, 2), Err(Error::OwnerHasNul { .. })));
    Ok(())
}

/// A cursor stays a place in the list when the sessions around it end.
pub fn a_cursor_outlives_the_sessions_around_it(store: &impl Sessions) -> Result<(), Error> {
    let keys = some(store, 10)?;
    let first = store.list(None, None, 4)?;
    let rest = handles(listed(store, None, 100)?.into_iter().skip(4));
    for key in &keys {
        if first.sessions.iter().any(|session| session.handle == store.handle(key)) {
            store.clear(key)?;
        }
    }
    assert_eq!(handles(store.list(None, first.next.as_ref(), 100)?.sessions), rest);
    for key in &keys {
        store.clear(key)?;
    }
    let page = store.list(None, first.next.as_ref(), 100)?;
    assert!(page.sessions.is_empty() && page.next.is_none());
    Ok(())
}

/// A renewed session is listed once, under its new handle.
pub fn list_has_a_renewed_session_once(store: &impl Sessions) -> Result<(), Error> {
    let old = store.generate_for("alice", Some("x"), None)?;
    let new = store.rotate(&old)?;
    assert_eq!(handles(listed(store, None, 1)?), BTreeSet::from([store.handle(&new).to_string()]));
    assert!(!store.clear_handle(&store.handle(&old))?);
    assert_eq!(store.find(&new)?.value.as_deref(), Some("x"));
    Ok(())
}

/// `clear_handle` ends one live session, with or without an owner.
pub fn clear_handle_ends_the_session_of_that_handle(store: &impl Sessions) -> Result<(), Error> {
    let keys = some(store, 6)?;
    for (ended, key) in keys.iter().enumerate() {
        assert!(store.clear_handle(&store.handle(key))?);
        assert!(is_absent(store, key));
        assert!(!store.clear_handle(&store.handle(key))?);
        assert_eq!(listed(store, None, 10)?.len(), keys.len() - ended - 1);
    }
    for key in unusable_keys(store)? {
        assert!(!store.clear_handle(&store.handle(&key))?);
    }
    Ok(())
}

/// `clear_all` ends every session, and leaves nothing. Sessions that begin afterwards live.
pub fn clear_all_ends_every_session(store: &impl Sessions) -> Result<(), Error> {
    let keys = some(store, 6)?;
    store.generate_for("alice", None, Some(TimeDelta::zero()))?;
    let renewed = store.rotate(&keys[0])?;
    assert_eq!(store.clear_all()?, 6);
    for key in keys.iter().chain([&renewed]) {
        assert!(is_absent(store, key));
    }
    let count = store.count()?;
    assert_eq!((count.live, count.expired), (0, 0));
    assert_eq!(store.clear_all()?, 0);
    let next = store.generate(Some("x"), None)?;
    assert_eq!(store.get(&next)?.0, "x");
    Ok(())
}
