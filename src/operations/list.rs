//! Lists the sessions of all owners, and ends one of them.

use std::future::Future;

use super::Operation;
use super::lineage::{end, end_renewed};
use crate::database::AdminQueries;
use crate::error::Error;
use crate::key::StoredKey;
use crate::options::check_owner;
use crate::page::{SessionCursor, SessionPage};
use crate::session::{Session, SessionHandle};

/// Lists one page of live sessions.
pub(crate) struct List {
    owner: Option<String>,
    from: StoredKey,
    limit: u32,
}

impl List {
    pub(crate) fn new(owner: Option<&str>, after: Option<&SessionCursor>, limit: u32) -> Result<Self, Error> {
        owner.map_or(Ok(()), check_owner)?;
        let from = after.map_or(StoredKey::FIRST, SessionCursor::key);
        Ok(Self { owner: owner.map(str::to_owned), from, limit: limit.max(1) })
    }
}

impl<C: AdminQueries> Operation<C> for List {
    type Output = SessionPage;
    const NAME: &'static str = "list";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<SessionPage, Error> {
        let mut limit = i64::from(self.limit);
        loop {
            // One more, to know where the next page begins.
            let found = conn.load_from(&self.from, self.owner.as_deref(), limit + 1).await?;
            let (keys, mut sessions): (Vec<StoredKey>, Vec<Session>) = found.into_iter().unzip();
            if i64::try_from(sessions.len()).is_ok_and(|found| found <= limit) {
                return Ok(SessionPage { sessions, next: None });
            }
            let ends = keys.windows(2).enumerate();
            let mut ends =
                ends.filter_map(|(last, keys)| Some((last, SessionCursor::between(&keys[0], &keys[1])?)));
            if let Some((last, next)) = ends.next_back() {
                sessions.truncate(last + 1);
                return Ok(SessionPage { sessions, next: Some(next) });
            }
            // Keys that somebody chose, and that differ in their last characters only.
            limit *= 2;
        }
    }
}

/// How many keys one statement reads to find a handle.
const KEYS: i64 = 10_000;

/// Looks for a handle in one part of the table, and ends its session.
pub(crate) struct ClearHandle {
    handle: SessionHandle,
    from: StoredKey,
}

impl ClearHandle {
    pub(crate) fn new(handle: &SessionHandle) -> Self {
        Self { handle: *handle, from: StoredKey::FIRST }
    }
}

/// The result of a search in one part of the table.
pub(crate) enum Part {
    /// The handle's session; whether it was still there.
    Session(bool),
    /// Other sessions. The search goes on here.
    Others(ClearHandle),
    /// Nothing that comes after it.
    Last,
}

impl<C: AdminQueries> Operation<C> for ClearHandle {
    type Output = Part;
    const NAME: &'static str = "clear_handle";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<Part, Error> {
        let keys = conn.keys_from(&self.from, KEYS).await?;
        if let Some(key) = keys.iter().find(|key| SessionHandle::new(key) == self.handle) {
            // It may have expired, or a renewal may have moved it since the keys were read.
            let is_live = conn.is_live(key).await?;
            let was_there = if is_live { end(conn, key).await? } else { end_renewed(conn, key).await? };
            return Ok(Part::Session(was_there));
        }
        Ok(match keys.last() {
            Some(last) if i64::try_from(keys.len()).is_ok_and(|keys| keys == KEYS) => {
                Part::Others(Self { handle: self.handle, from: *last })
            }
            _ => Part::Last,
        })
    }
}

/// Searches the whole table, part by part.
pub(crate) async fn clear_handle<F>(
    handle: &SessionHandle,
    execute: impl Fn(Result<ClearHandle, Error>) -> F,
) -> Result<bool, Error>
where
    F: Future<Output = Result<Part, Error>>,
{
    let mut next = ClearHandle::new(handle);
    loop {
        match execute(Ok(next)).await? {
            Part::Session(was_there) => return Ok(was_there),
            Part::Others(rest) => next = rest,
            Part::Last => return Ok(false),
        }
    }
}
