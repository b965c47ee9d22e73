//! What [`Now`](crate::Now) has.

use chrono::TimeDelta;

use super::owner::make_room;
use super::transaction::Transaction;
use super::{DRAWS, Operation};
use crate::backend::{OwnerQueries, Queries, Transactions};
use crate::error::Error;
use crate::key::{KeyStorage, SessionKey, StoredKey};
use crate::owner::OwnerLimit;
use crate::rules::{Expiry, Period, Rules, check_owner};

/// Starts a session and returns its key.
pub(crate) struct Generate<V> {
    key: SessionKey,
    storage: KeyStorage,
    value: Option<V>,
    owner: Option<String>,
    owner_limit: Option<OwnerLimit>,
    period: Period,
}

impl<V: AsRef<str> + Send + Sync> Generate<V> {
    pub(crate) fn new(
        rules: &Rules,
        owner: Option<&str>,
        value: Option<V>,
        expiry: Option<TimeDelta>,
    ) -> Result<Self, Error> {
        owner.map_or(Ok(()), check_owner)?;
        value.as_ref().map_or(Ok(()), |value| rules.check_value(value.as_ref()))?;
        Ok(Self {
            period: rules.first_period(expiry)?,
            key: SessionKey::random()?,
            storage: rules.key_storage(),
            value,
            owner: owner.map(str::to_owned),
            owner_limit: rules.owner_limit(),
        })
    }

    async fn insert<C: Queries>(&mut self, conn: &mut C, repeated: bool) -> Result<SessionKey, Error> {
        let value = self.value.as_ref().map(AsRef::as_ref);
        for _ in 0..DRAWS {
            let stored = StoredKey::new(&self.key, self.storage);
            // Repeated, a key that is taken was taken by our own first run.
            if conn.insert(&stored, value, self.owner.as_deref(), self.period).await? || repeated {
                return Ok(self.key);
            }
            self.key = SessionKey::random()?;
        }
        Err(Error::NotInserted { draws: DRAWS })
    }
}

impl<C: OwnerQueries + Transactions, V: AsRef<str> + Send + Sync> Operation<C> for Generate<V> {
    type Output = SessionKey;
    const NAME: &'static str = "generate";

    async fn run(&mut self, conn: &mut C, repeated: bool) -> Result<SessionKey, Error> {
        let (Some(owner), Some(limit)) = (self.owner.clone(), self.owner_limit) else {
            return self.insert(conn, repeated).await;
        };
        let mut transaction = Transaction::begin(conn).await?;
        // Our own first run's session must not count against us.
        let key = StoredKey::new(&self.key, self.storage);
        let inserted = async {
            make_room(transaction.conn(), &owner, limit, &key).await?;
            self.insert(transaction.conn(), repeated).await
        };
        let inserted = inserted.await;
        transaction.end(inserted).await
    }
}

/// Ends a session.
pub(crate) struct Clear {
    key: StoredKey,
}

impl Clear {
    pub(crate) fn new(rules: &Rules, key: &SessionKey) -> Self {
        Self { key: rules.stored_key(key) }
    }
}

impl<C: Queries> Operation<C> for Clear {
    type Output = ();
    const NAME: &'static str = "clear";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        // Idempotent: a session that was not there is as gone as one that was.
        let _was_there = conn.delete(&self.key).await?;
        Ok(())
    }
}

/// Reads a session's value and what is left of its period.
pub(crate) struct Get {
    key: StoredKey,
}

impl Get {
    pub(crate) fn new(rules: &Rules, key: &SessionKey) -> Self {
        Self { key: rules.stored_key(key) }
    }
}

impl<C: Queries> Operation<C> for Get {
    type Output = (String, TimeDelta);
    const NAME: &'static str = "get";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(String, TimeDelta), Error> {
        let (value, left) = conn.load_live(&self.key).await?.ok_or(Error::NotFound)?;
        Ok((value.ok_or(Error::NotSet)?, left))
    }
}

/// Sets a live session's value and expiry.
pub(crate) struct Set<V> {
    key: StoredKey,
    value: V,
    expiry: Expiry,
}

impl<V: AsRef<str>> Set<V> {
    pub(crate) fn new(
        rules: &Rules,
        key: &SessionKey,
        value: V,
        expiry: Option<TimeDelta>,
    ) -> Result<Self, Error> {
        rules.check_value(value.as_ref())?;
        Ok(Self { key: rules.stored_key(key), value, expiry: rules.expiry(expiry)? })
    }
}

impl<C: Queries, V: AsRef<str> + Send + Sync> Operation<C> for Set<V> {
    type Output = ();
    const NAME: &'static str = "set";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        if conn.update_live(&self.key, self.value.as_ref(), self.expiry).await? {
            Ok(())
        } else {
            Err(Error::NotFound)
        }
    }
}
