//! Ends all sessions of an owner, batch by batch.

use chrono::{DateTime, Utc};

use super::batch::{BATCH, Batch};
use super::owner::find_listed;
use super::transaction::Transaction;
use super::{DELETE_ATTEMPTS, Operation};
use crate::database::{Deleted, OwnerQueries, Transactions};
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::options::{Options, PARKED, check_owner};
use crate::session::SessionHandle;

/// A date before any session's, near the earliest that PostgreSQL can hold.
fn oldest() -> DateTime<Utc> {
    DateTime::from_timestamp(-200_000_000_000, 0).unwrap_or_default()
}

/// The session that stays.
#[derive(Clone)]
enum Keep {
    Key(StoredKey),
    /// The first batch finds its key.
    Handle(SessionHandle),
}

/// Deletes one batch of an owner's sessions, live or expired, except one.
#[derive(Clone)]
pub(crate) struct ClearOwner {
    owner: String,
    /// The owner that the store gives to sessions of this owner while they are being renewed.
    parked: String,
    keep: Keep,
    /// When the call began. Newer sessions are left alone, because logins could otherwise keep the call running for
    /// ever.
    began: Option<DateTime<Utc>>,
    /// The newest date that a batch deletes. If sessions are dated ahead of the clock, they go first, and it is the
    /// newest of their dates. Otherwise it is `began`.
    until: DateTime<Utc>,
    /// The oldest date that the batch deletes. The batch before the last one deleted all older sessions.
    from: DateTime<Utc>,
    /// The newest date that the last batch deleted. The next batch begins at the start of the last one. PostgreSQL
    /// marks the index entries of deleted rows only when it meets them again. Otherwise the check at the end would meet
    /// all of them.
    reached: DateTime<Utc>,
    /// How many batches in succession have deleted nothing although something is left. A DELETE does not see a session
    /// under its new key if the session was renewed while the DELETE ran.
    in_vain: u32,
}

impl ClearOwner {
    pub(crate) fn new(options: &Options, owner: &str, keep: Option<&SessionKey>) -> Result<Self, Error> {
        Self::keeping(owner, Keep::Key(keep.map_or(StoredKey::NONE, |key| options.stored_key(key))))
    }

    /// Keeps the session of this handle.
    pub(crate) fn but(owner: &str, handle: &SessionHandle) -> Result<Self, Error> {
        Self::keeping(owner, Keep::Handle(*handle))
    }

    fn keeping(owner: &str, keep: Keep) -> Result<Self, Error> {
        check_owner(owner)?;
        let (until, from, reached) = (oldest(), oldest(), oldest());
        let parked = format!("{PARKED}{owner}");
        Ok(Self { owner: owner.to_owned(), parked, keep, began: None, until, from, reached, in_vain: 0 })
    }

    /// Deletes one batch, inside a transaction.
    async fn batch<C: OwnerQueries>(&self, conn: &mut C) -> Result<Batch<Self>, Error> {
        let mut rest = self.clone();
        // First the owner's lock, as in the check of an owner's limit. So neither holds a row that the other waits for.
        conn.lock_owner(&rest.owner).await?;
        let kept = match &rest.keep {
            Keep::Key(key) => *key,
            Keep::Handle(handle) => find_listed(conn, &rest.owner, handle).await?.ok_or(Error::NotFound)?,
        };
        rest.keep = Keep::Key(kept);
        let began = if let Some(began) = rest.began {
            began
        } else {
            let now = conn.now().await?;
            let newest = conn.newest_owned(&rest.owner).await?;
            let newest = newest.max(conn.newest_owned(&rest.parked).await?);
            rest.until = now;
            if let Some(ahead) = newest.filter(|newest| *newest > now) {
                (rest.from, rest.reached, rest.until) = (now, now, ahead);
            }
            now
        };
        rest.began = Some(began);
        let dates = (rest.from, rest.until);
        let deleted = conn.delete_until(&rest.owner, &kept, dates, began, BATCH.into()).await?;
        let Deleted { mut sessions, live: ended, newest } = deleted;
        if sessions == usize::from(BATCH) {
            rest.from = rest.reached;
            rest.reached = newest.unwrap_or(rest.reached);
            return Ok(Batch { ended, rest: Some(rest) });
        }
        // There are few of these at any time.
        let keep = kept.tombstone();
        let dates = (oldest(), rest.until);
        sessions += conn.delete_until(&rest.parked, &keep, dates, began, BATCH.into()).await?.sessions;
        if rest.until > began {
            (rest.from, rest.reached, rest.until) = (oldest(), oldest(), began);
            return Ok(Batch { ended, rest: Some(rest) });
        }
        if !conn.has_until([&rest.owner, &rest.parked], [&kept, &keep], rest.until).await? {
            return Ok(Batch { ended, rest: None });
        }
        (rest.from, rest.reached) = (oldest(), oldest());
        rest.in_vain = if sessions == 0 { rest.in_vain + 1 } else { 0 };
        if rest.in_vain == DELETE_ATTEMPTS {
            let left = conn.count_owned(&rest.owner, &kept).await?;
            return Err(Error::NotDeleted { sessions: left.unsigned_abs() });
        }
        Ok(Batch { ended, rest: Some(rest) })
    }
}

/// Runs one batch in its own transaction.
impl<C: OwnerQueries + Transactions> Operation<C> for ClearOwner {
    type Output = Batch<Self>;
    const NAME: &'static str = "clear_owner";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<Batch<Self>, Error> {
        let mut transaction = Transaction::begin(conn).await?;
        let done = self.batch(transaction.conn()).await;
        transaction.end(done).await
    }
}
