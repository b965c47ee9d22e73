//! Ends sessions.

use diesel_session::{Error, SessionHandle, Sessions};

use crate::arguments::End;
use crate::failure::Failure;
use crate::screen::{ask, count, harmless, say};

pub(crate) fn end(store: &impl Sessions, end: &End) -> Result<(), Failure> {
    let ended = match (&end.owner, &end.handle) {
        (Some(owner), _) => of_owner(store, owner, end)?,
        (None, Some(handle)) => by_handle(store, handle, end)?,
        (None, None) => all(store, end)?,
    };
    say(&format!("{} ended", count(ended as u64, "session")))
}

/// The most sessions of an owner that are counted before the question.
const COUNTED: u32 = 1_000;

fn of_owner(store: &impl Sessions, owner: &str, end: &End) -> Result<usize, Failure> {
    let name = harmless(owner);
    let listed = store.sessions_of(owner, COUNTED)?;
    let number = count(listed.len() as u64, "live session");
    let number = if listed.len() == COUNTED as usize { format!("{number}, or more") } else { number };
    let Some(keep) = &end.keep else {
        ask(&format!("{name} has {number}. End all?"), &end.question)?;
        // Also if there is none: a web framework may be renewing one at this moment.
        return match store.clear_owner(owner, None)? {
            0 => Err(Failure::refused(format!(
                "{name} had no live session: `diesel-session list` shows the owners"
            ))),
            ended => Ok(ended),
        };
    };
    ask(&format!("{name} has {number}. End all except {keep}?"), &end.question)?;
    store.clear_others(owner, keep).map_err(|error| match error {
        Error::NotFound => {
            Failure::refused(format!("{name} has no live session {keep}: no session was ended"))
        }
        other => other.into(),
    })
}

fn by_handle(store: &impl Sessions, handle: &SessionHandle, end: &End) -> Result<usize, Failure> {
    ask(&format!("End the session {handle}?"), &end.question)?;
    if store.clear_handle(handle)? {
        return Ok(1);
    }
    Err(Failure::refused(format!("no live session has the handle {handle}: it has ended, or it was renewed")))
}

fn all(store: &impl Sessions, end: &End) -> Result<usize, Failure> {
    // In an emergency, nobody waits for a count.
    if !end.question.yes {
        let live = count(store.count()?.live, "live session");
        ask(&format!("End all {live}? Everybody has to log in again."), &end.question)?;
    }
    Ok(store.clear_all()?)
}
