//! Sessions of one owner.

use diesel::QueryResult;

use super::{Operation, in_transaction};
use crate::backend::OwnerQueries;
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::owner::{OwnedSession, OwnerLimit, SessionHandle};
use crate::rules::{Rules, check_owner};

/// How often a DELETE may find nothing of what was seen before, until something else than a rotation is suspected.
const ROUNDS: u32 = 10;

/// Makes a session an owner's.
pub(crate) struct Bind {
    key: StoredKey,
    owner: String,
    limit: Option<OwnerLimit>,
}

impl Bind {
    pub(crate) fn new(rules: &Rules, key: &SessionKey, owner: &str) -> Result<Self, Error> {
        check_owner(owner)?;
        Ok(Self { key: rules.stored_key(key), owner: owner.to_owned(), limit: rules.owner_limit() })
    }

    fn bind<C: OwnerQueries>(&self, conn: &mut C) -> Result<(), Error> {
        if conn.own_live(&self.key, Some(&self.owner))? { Ok(()) } else { Err(Error::NotFound) }
    }
}

impl<C: OwnerQueries> Operation<C> for Bind {
    type Output = ();
    const NAME: &'static str = "bind";

    fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        match self.limit {
            None => self.bind(conn),
            Some(limit) => in_transaction(conn, |conn| {
                make_room(conn, &self.owner, limit, &self.key)?;
                self.bind(conn)
            }),
        }
    }
}

/// Makes room for one more session of the owner, besides the one under `but`: until the transaction ends nobody
/// else adds one. Under an isolation stricter than READ COMMITTED, which is then the caller's, it sees the
/// sessions that there were when the transaction began.
pub(super) fn make_room<C: OwnerQueries>(
    conn: &mut C,
    owner: &str,
    limit: OwnerLimit,
    but: &StoredKey,
) -> Result<(), Error> {
    // A statement of its own: what follows sees what others did before they let go of the lock.
    conn.lock_owner(owner)?;
    end(
        conn,
        |conn| limit.excess(conn.count_owned(owner, but)?),
        |conn, excess| conn.delete_oldest(owner, but, excess),
    )
    .map(drop)
}

/// Deletes until none is in excess, and returns how many it deleted. What is rotated at the same moment is not to be
/// seen by the DELETE under its new key: so it looks again.
fn end<C>(
    conn: &mut C,
    excess: impl Fn(&mut C) -> Result<i64, Error>,
    delete: impl Fn(&mut C, i64) -> QueryResult<usize>,
) -> Result<usize, Error> {
    let (mut ended, mut in_vain) = (0, 0);
    loop {
        let excess = excess(conn)?;
        if excess == 0 {
            return Ok(ended);
        }
        if in_vain == ROUNDS {
            return Err(Error::NotDeleted { sessions: excess.unsigned_abs() });
        }
        let deleted = delete(conn, excess)?;
        in_vain = if deleted == 0 { in_vain + 1 } else { 0 };
        ended += deleted;
    }
}

/// Says whose a session is.
pub(crate) struct OwnerOf {
    key: StoredKey,
}

impl OwnerOf {
    pub(crate) fn new(rules: &Rules, key: &SessionKey) -> Self {
        Self { key: rules.stored_key(key) }
    }
}

impl<C: OwnerQueries> Operation<C> for OwnerOf {
    type Output = Option<String>;
    const NAME: &'static str = "owner_of";

    fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<Option<String>, Error> {
        let (owner,) = conn.load_owner(&self.key)?.ok_or(Error::NotFound)?;
        Ok(owner)
    }
}

/// Lists an owner's sessions.
pub(crate) struct SessionsOf {
    owner: String,
}

impl SessionsOf {
    pub(crate) fn new(owner: &str) -> Result<Self, Error> {
        check_owner(owner)?;
        Ok(Self { owner: owner.to_owned() })
    }
}

impl<C: OwnerQueries> Operation<C> for SessionsOf {
    type Output = Vec<OwnedSession>;
    const NAME: &'static str = "sessions_of";

    fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<Vec<OwnedSession>, Error> {
        let rows = conn.load_owned(&self.owner)?;
        let newest_first = rows.into_iter().rev();
        Ok(newest_first
            .map(|(key, created, expires)| OwnedSession {
                handle: SessionHandle::new(&key),
                created,
                expires,
            })
            .collect())
    }
}

/// Ends an owner's sessions, but one, and returns how many.
pub(crate) struct ClearOwner {
    owner: String,
    keep: StoredKey,
}

impl ClearOwner {
    pub(crate) fn new(rules: &Rules, owner: &str, keep: Option<&SessionKey>) -> Result<Self, Error> {
        check_owner(owner)?;
        let keep = keep.map_or(StoredKey::NONE, |key| rules.stored_key(key));
        Ok(Self { owner: owner.to_owned(), keep })
    }
}

impl<C: OwnerQueries> Operation<C> for ClearOwner {
    type Output = usize;
    const NAME: &'static str = "clear_owner";

    fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<usize, Error> {
        // Most have some: so it deletes before it looks.
        let ended = conn.delete_owned(&self.owner, &self.keep)?;
        let rest = end(
            conn,
            |conn| Ok(conn.count_owned(&self.owner, &self.keep)?),
            |conn, _| conn.delete_owned(&self.owner, &self.keep),
        )?;
        Ok(ended + rest)
    }
}

/// Ends an owner's session by its handle, and says whether there was one.
pub(crate) struct ClearListed {
    owner: String,
    handle: SessionHandle,
}

impl ClearListed {
    pub(crate) fn new(owner: &str, handle: &SessionHandle) -> Result<Self, Error> {
        check_owner(owner)?;
        Ok(Self { owner: owner.to_owned(), handle: *handle })
    }
}

impl<C: OwnerQueries> Operation<C> for ClearListed {
    type Output = bool;
    const NAME: &'static str = "clear_listed";

    fn run(&mut self, conn: &mut C, repeated: bool) -> Result<bool, Error> {
        let listed = conn.load_owned(&self.owner)?;
        match listed.iter().find(|(key, ..)| SessionHandle::new(key) == self.handle) {
            Some((key, ..)) => Ok(conn.delete_if_owned(key, &self.owner)?),
            // Ended by our own first run, most likely.
            None => Ok(repeated),
        }
    }
}
