//! Ends the sessions of all owners, batch by batch.

use chrono::{DateTime, Utc};

use super::batch::{BATCH, Batch};
use super::transaction::Transaction;
use super::{DELETE_ATTEMPTS, Operation};
use crate::database::{AdminQueries, Transactions};
use crate::error::Error;
use crate::key::StoredKey;

/// The lock of these calls, and of imports. No owner has this name.
pub(super) const EVERYBODY: &str = "\u{1}";

/// Deletes one batch of rows, in the order of their keys.
#[derive(Clone)]
pub(crate) struct ClearAll {
    /// When the call began. Newer sessions need not end.
    began: Option<DateTime<Utc>>,
    /// The batches before have deleted what comes before this key.
    from: StoredKey,
    /// How often the table was read to its end although something was left.
    passes: u32,
}

impl ClearAll {
    pub(crate) fn new() -> Self {
        Self { began: None, from: StoredKey::START, passes: 0 }
    }

    async fn batch<C: AdminQueries>(&self, conn: &mut C) -> Result<Batch<Self>, Error> {
        // Otherwise two of these calls would wait for each other's rows, and find nothing to delete.
        conn.lock_owner(EVERYBODY).await?;
        let began = match self.began {
            Some(began) => began,
            None => conn.now().await?,
        };
        let deleted = conn.delete_from(&self.from, BATCH.into()).await?;
        let ended = deleted.iter().filter(|(_, was_live)| *was_live).count();
        let last = deleted.into_iter().map(|(key, _)| key).max();
        if let Some(from) = last {
            return Ok(Batch { ended, rest: Some(Self { began: Some(began), from, passes: self.passes }) });
        }
        // This was the end of the table. A session that was renewed in the meantime has another key, which can come
        // before the batches that are done.
        if !conn.has_any_until(began).await? {
            return Ok(Batch { ended, rest: None });
        }
        if self.passes == DELETE_ATTEMPTS {
            let (left, _live) = conn.count().await?;
            return Err(Error::NotDeleted { sessions: left.unsigned_abs() });
        }
        let again = Self { began: Some(began), from: StoredKey::START, passes: self.passes + 1 };
        Ok(Batch { ended, rest: Some(again) })
    }
}

/// Runs one batch in its own transaction.
impl<C: AdminQueries + Transactions> Operation<C> for ClearAll {
    type Output = Batch<Self>;
    const NAME: &'static str = "clear_all";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<Batch<Self>, Error> {
        let mut transaction = Transaction::begin(conn).await?;
        let done = self.batch(transaction.conn()).await;
        transaction.end(done).await
    }
}
