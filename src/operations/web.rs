//! Sessions under keys that a web framework has drawn.

use chrono::TimeDelta;

use super::Operation;
use super::owner::make_room;
use super::transaction::Transaction;
use crate::backend::{OwnerQueries, Queries, Transactions};
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::owner::OwnerLimit;
use crate::rules::{Expiry, Rules, check_owner};
use crate::web::{LoadedSession, SavedOwner};

/// A live session's value, when it began, and what is left of its period.
pub(crate) struct Inspect {
    key: StoredKey,
}

impl Inspect {
    pub(crate) fn new(rules: &Rules, key: &SessionKey) -> Self {
        Self { key: rules.stored_key(key) }
    }
}

impl<C: Queries> Operation<C> for Inspect {
    type Output = LoadedSession;
    const NAME: &'static str = "load";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<LoadedSession, Error> {
        let (value, created, left) = conn.inspect_live(&self.key).await?.ok_or(Error::NotFound)?;
        Ok(LoadedSession { value: value.ok_or(Error::NotSet)?, created, left })
    }
}

/// Sets a live session's value and expiry, and its owner where that is for the framework to say.
pub(crate) struct Overwrite {
    key: StoredKey,
    value: String,
    owner: SavedOwner,
    owner_limit: Option<OwnerLimit>,
    expiry: Expiry,
}

impl Overwrite {
    pub(crate) fn new(
        rules: &Rules,
        key: &SessionKey,
        value: String,
        owner: SavedOwner,
        expiry: TimeDelta,
    ) -> Result<Self, Error> {
        if let SavedOwner::Is(Some(owner)) = &owner {
            check_owner(owner)?;
        }
        rules.check_value(&value)?;
        let (key, expiry) = (rules.stored_key(key), rules.expiry(Some(expiry))?);
        Ok(Self { key, value, owner, owner_limit: rules.owner_limit(), expiry })
    }

    /// Writes for another owner than before.
    async fn write_for<C: OwnerQueries>(&self, conn: &mut C, owner: Option<&str>) -> Result<(), Error> {
        if let (Some(owner), Some(limit)) = (owner, self.owner_limit) {
            make_room(conn, owner, limit, &self.key).await?;
        }
        // Where it has gone meanwhile the write says so.
        let _is_live = conn.own_live(&self.key, owner).await?;
        self.write(conn).await
    }

    async fn write<C: Queries>(&self, conn: &mut C) -> Result<(), Error> {
        if conn.update_live(&self.key, &self.value, self.expiry).await? {
            Ok(())
        } else {
            Err(Error::NotFound)
        }
    }
}

impl<C: OwnerQueries + Transactions> Operation<C> for Overwrite {
    type Output = ();
    const NAME: &'static str = "save";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        let SavedOwner::Is(owner) = &self.owner else { return self.write(conn).await };
        // Mostly it is whose it was.
        if conn.update_owned(&self.key, &self.value, owner.as_deref(), self.expiry).await? {
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
    pub(crate) fn new(rules: &Rules, key: &SessionKey) -> Self {
        Self { key: rules.stored_key(key) }
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
