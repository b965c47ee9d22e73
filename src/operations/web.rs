//! The operations of web frameworks' stores that applications do not have.

use chrono::TimeDelta;

use super::owner::enforce_owner_limit;
use super::transaction::Transaction;
use super::{Operation, found};
use crate::database::{OwnerQueries, Queries, Transactions};
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::options::{Deadline, Options, OwnerLimit, Renewal, check_owner};

/// What a save does to a session's owner.
#[derive(Debug, Clone)]
pub(crate) enum SavedOwner {
    /// It stays as it is.
    Keep,
    /// It is this one, or nobody.
    Is(Option<String>),
}

/// Sets a live session's value and expiry, and its owner where that is for the framework to say.
pub(crate) struct Save {
    key: StoredKey,
    value: String,
    owner: SavedOwner,
    owner_limit: Option<OwnerLimit>,
    deadline: Deadline,
}

impl Save {
    pub(crate) fn new(
        options: &Options,
        key: &SessionKey,
        value: String,
        owner: SavedOwner,
        expiry: TimeDelta,
    ) -> Result<Self, Error> {
        if let SavedOwner::Is(Some(owner)) = &owner {
            check_owner(owner)?;
        }
        options.check_value(&value)?;
        let (key, deadline) = (options.stored_key(key), options.deadline_after(Some(expiry))?);
        Ok(Self { key, value, owner, owner_limit: options.owner_limit(), deadline })
    }

    /// Writes for another owner than before.
    async fn write_for<C: OwnerQueries>(&self, conn: &mut C, owner: Option<&str>) -> Result<(), Error> {
        if let (Some(owner), Some(limit)) = (owner, self.owner_limit) {
            enforce_owner_limit(conn, owner, limit, &self.key).await?;
        }
        // Where it has gone meanwhile the write says so.
        let _is_live = conn.own_live(&self.key, owner).await?;
        self.write(conn).await
    }

    async fn write<C: Queries>(&self, conn: &mut C) -> Result<(), Error> {
        found(conn.update_live(&self.key, &self.value, Renewal::Until(self.deadline)).await?)
    }
}

impl<C: OwnerQueries + Transactions> Operation<C> for Save {
    type Output = ();
    const NAME: &'static str = "save";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        let SavedOwner::Is(owner) = &self.owner else { return self.write(conn).await };
        // Mostly it is whose it was.
        if conn.update_owned(&self.key, &self.value, owner.as_deref(), self.deadline).await? {
            return Ok(());
        }
        let mut transaction = Transaction::begin(conn).await?;
        let written = self.write_for(transaction.conn(), owner.as_deref()).await;
        transaction.end(written).await
    }
}

/// Ends a session and says whether there was one.
pub(crate) struct Delete {
    key: StoredKey,
}

impl Delete {
    pub(crate) fn new(options: &Options, key: &SessionKey) -> Self {
        Self { key: options.stored_key(key) }
    }
}

impl<C: Queries> Operation<C> for Delete {
    type Output = bool;
    const NAME: &'static str = "delete";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<bool, Error> {
        // Repeated, our own first run may have found it; or a logout came first, and nobody may go on with it.
        Ok(conn.delete(&self.key).await?)
    }
}
