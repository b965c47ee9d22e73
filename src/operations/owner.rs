//! Sessions of one owner.

use chrono::{DateTime, Utc};

use super::lineage::end_renewed;
use super::transaction::Transaction;
use super::{DELETE_ATTEMPTS, Operation, found};
use crate::database::{OwnerQueries, Queries, Transactions};
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::options::{Options, OwnerLimit, check_label, check_owner};
use crate::session::{OwnedSession, SessionHandle};

/// How many sessions one statement lists or ends by their keys.
const PAGE: u16 = 1_000;

/// The start of a list of the newest sessions first.
const NEWEST: (DateTime<Utc>, StoredKey) = (DateTime::<Utc>::MAX_UTC, StoredKey::LAST);

/// Gives a session an owner.
pub(crate) struct Bind {
    key: StoredKey,
    owner: String,
    limit: Option<OwnerLimit>,
}

impl Bind {
    pub(crate) fn new(options: &Options, key: &SessionKey, owner: &str) -> Result<Self, Error> {
        check_owner(owner)?;
        Ok(Self { key: options.stored_key(key), owner: owner.to_owned(), limit: options.owner_limit() })
    }

    async fn bind<C: OwnerQueries>(&self, conn: &mut C) -> Result<(), Error> {
        found(conn.own_live(&self.key, Some(&self.owner)).await?)
    }
}

impl<C: OwnerQueries + Transactions> Operation<C> for Bind {
    type Output = ();
    const NAME: &'static str = "bind";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        let Some(limit) = self.limit else { return self.bind(conn).await };
        let mut transaction = Transaction::begin(conn).await?;
        let bound = async {
            enforce_owner_limit(transaction.conn(), &self.owner, limit, &self.key).await?;
            self.bind(transaction.conn()).await
        };
        let bound = bound.await;
        transaction.end(bound).await
    }
}

/// Makes room for one more session of the owner. The session under `but` does not count. Until the transaction ends, no
/// other request adds a session for the owner.
///
/// The caller's transaction may have an isolation stricter than READ COMMITTED. Then this function sees the sessions
/// that existed when that transaction began.
pub(super) async fn enforce_owner_limit<C: OwnerQueries>(
    conn: &mut C,
    owner: &str,
    limit: OwnerLimit,
    but: &StoredKey,
) -> Result<(), Error> {
    // A separate statement, so that the next one sees what others did before they released the lock.
    conn.lock_owner(owner).await?;
    enforce_owner_limit_in_lock(conn, owner, limit, but).await
}

/// Does the same if the owner is locked already. It ends the oldest sessions until none is in excess. If another
/// request renews one of them at the same time, it ends that session under its new key.
pub(super) async fn enforce_owner_limit_in_lock<C: OwnerQueries>(
    conn: &mut C,
    owner: &str,
    limit: OwnerLimit,
    but: &StoredKey,
) -> Result<(), Error> {
    let mut in_vain = 0;
    loop {
        let excess = limit.excess(conn.count_owned(owner, but).await?)?;
        if excess == 0 {
            return Ok(());
        }
        if in_vain == DELETE_ATTEMPTS {
            return Err(Error::NotDeleted { sessions: excess.unsigned_abs() });
        }
        let oldest = conn.oldest_owned(owner, but, excess.min(PAGE.into())).await?;
        let deleted = conn.delete_owned(&oldest, owner).await?;
        let mut has_ended = !deleted.is_empty();
        for renewed in oldest.iter().filter(|key| !deleted.contains(key)) {
            has_ended |= end_renewed(conn, renewed).await?;
        }
        in_vain = if has_ended { 0 } else { in_vain + 1 };
    }
}

/// Gives a session a label, or none.
pub(crate) struct SetLabel {
    key: StoredKey,
    label: Option<String>,
}

impl SetLabel {
    pub(crate) fn new(options: &Options, key: &SessionKey, label: Option<&str>) -> Result<Self, Error> {
        label.map_or(Ok(()), check_label)?;
        Ok(Self { key: options.stored_key(key), label: label.map(str::to_owned) })
    }
}

impl<C: Queries> Operation<C> for SetLabel {
    type Output = ();
    const NAME: &'static str = "set_label";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        found(conn.label_live(&self.key, self.label.as_deref()).await?)
    }
}

/// Lists an owner's sessions.
pub(crate) struct SessionsOf {
    owner: String,
    limit: u32,
}

impl SessionsOf {
    pub(crate) fn new(owner: &str, limit: u32) -> Result<Self, Error> {
        check_owner(owner)?;
        Ok(Self { owner: owner.to_owned(), limit })
    }
}

impl<C: OwnerQueries> Operation<C> for SessionsOf {
    type Output = Vec<OwnedSession>;
    const NAME: &'static str = "sessions_of";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<Vec<OwnedSession>, Error> {
        let listed = conn.load_owned(&self.owner, NEWEST, self.limit.into()).await?;
        Ok(listed.into_iter().map(|(_key, session)| session).collect())
    }
}

/// Ends an owner's session by its handle. Returns whether there was one.
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

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<bool, Error> {
        // If there is none, an earlier run or another request may have ended it, in either case before this run.
        let Some(key) = find_listed(conn, &self.owner, &self.handle).await? else { return Ok(false) };
        let was_there = conn.delete_owned(&[key], &self.owner).await? == [key];
        if was_there { Ok(true) } else { end_renewed(conn, &key).await }
    }
}

/// Returns the key of the owner's live session of this handle.
pub(super) async fn find_listed<C: OwnerQueries>(
    conn: &mut C,
    owner: &str,
    handle: &SessionHandle,
) -> Result<Option<StoredKey>, Error> {
    let mut before = NEWEST;
    loop {
        let listed = conn.load_owned(owner, before, PAGE.into()).await?;
        if let Some((key, _)) = listed.iter().find(|(_, session)| session.handle == *handle) {
            return Ok(Some(*key));
        }
        match listed.last() {
            Some((key, last)) if listed.len() == usize::from(PAGE) => before = (last.created, *key),
            _ => return Ok(None),
        }
    }
}
