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
    let listed = store.sessions_of(owner, COUNTED)?.len();
    if listed == 0 {
        return Err(Failure::refused(format!(
            "{name} has no live session: `diesel-session list` shows the owners"
        )));
    }
    let ending = count((listed - usize::from(end.keep.is_some())) as u64, "live session");
    let more = if listed == COUNTED as usize { ", or more," } else { "" };
    let Some(keep) = &end.keep else {
        ask(&format!("End {ending}{more} of {name}?"), &end.question)?;
        return Ok(store.clear_owner(owner, None)?);
    };
    ask(&format!("End {ending}{more} of {name}, and keep one?"), &end.question)?;
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
    let live = count(store.count()?.live, "live session");
    ask(&format!("End all {live}? Everybody has to log in again."), &end.question)?;
    Ok(store.clear_all()?)
}
