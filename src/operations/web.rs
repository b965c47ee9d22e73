//! Sessions under keys that a web framework has drawn.

use chrono::TimeDelta;

use super::Operation;
use super::owner::make_room;
use super::transaction::Transaction;
use crate::backend::{OwnerQueries, Queries, Transactions};
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::owner::OwnerLimit;
use crate::rules::{Expiry, Period, Rules, check_owner};
use crate::web::{LoadedSession, NewSession, SavedOwner};

/// Starts a session under a given key; `false` where that is taken.
pub(crate) struct Adopt {
    key: StoredKey,
    session: NewSession,
    expiry: Expiry,
    /// Where it begins now.
    first_period: Period,
    owner_limit: Option<OwnerLimit>,
}

impl Adopt {
    pub(crate) fn new(rules: &Rules, session: NewSession) -> Result<Self, Error> {
        session.owner.as_deref().map_or(Ok(()), check_owner)?;
        rules.check_value(&session.value)?;
        Ok(Self {
            key: rules.stored_key(&session.key),
            expiry: rules.expiry(Some(session.expiry))?,
            first_period: rules.first_period(Some(session.expiry))?,
            owner_limit: rules.owner_limit(),
            session,
        })
    }

    async fn insert<C: Queries>(&self, conn: &mut C, repeated: bool) -> Result<bool, Error> {
        let NewSession { value, owner, since, .. } = &self.session;
        let owner = owner.as_deref();
        let inserted = match since {
            Some(since) => conn.insert_since(&self.key, value, owner, *since, self.expiry).await?,
            // Most begin now, by a shorter statement.
            None => conn.insert(&self.key, Some(value), owner, self.first_period).await?,
        };
        // Repeated, a key that is taken was taken by our own first run.
        Ok(inserted || repeated)
    }
}

impl<C: OwnerQueries + Transactions> Operation<C> for Adopt {
    type Output = bool;
    const NAME: &'static str = "create";

    async fn run(&mut self, conn: &mut C, repeated: bool) -> Result<bool, Error> {
        let (Some(owner), Some(limit)) = (&self.session.owner, self.owner_limit) else {
            return self.insert(conn, repeated).await;
        };
        let mut transaction = Transaction::begin(conn).await?;
        let inserted = async {
            make_room(transaction.conn(), owner, limit, &self.key).await?;
            self.insert(transaction.conn(), repeated).await
        };
        let inserted = inserted.await;
        transaction.end(inserted).await
    }
}

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
