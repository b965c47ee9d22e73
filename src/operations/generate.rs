//! Starting a session under a new key.

use chrono::{DateTime, TimeDelta, Utc};

use super::owner::make_room_in_lock;
use super::transaction::Transaction;
use super::{DRAWS, Operation};
use crate::backend::{OwnerQueries, Queries, Transactions};
use crate::error::Error;
use crate::key::{KeyStorage, SessionKey, StoredKey};
use crate::owner::OwnerLimit;
use crate::rules::{Expiry, Period, Rules, check_owner};

/// The name of a new session to its client. It is drawn here, and never taken from a client.
#[cfg_attr(not(feature = "tokio"), allow(unreachable_pub, reason = "web frameworks' stores show it"))]
pub trait Drawn: Copy + Send + Sync + 'static {
    /// The operation that starts such a session, as logs call it.
    const OPERATION: &'static str;

    /// Draws one.
    fn draw() -> Result<Self, Error>;

    /// The key of its session.
    fn key(&self) -> SessionKey;
}

impl Drawn for SessionKey {
    const OPERATION: &'static str = "generate";

    fn draw() -> Result<Self, Error> {
        Self::random()
    }

    fn key(&self) -> SessionKey {
        *self
    }
}

/// Starts a session and returns its name.
pub(crate) struct Generate<V, D> {
    /// For the first attempt.
    drawn: D,
    value: Option<V>,
    owner: Option<String>,
    /// When it began, if it goes on under a new key.
    since: Option<DateTime<Utc>>,
    storage: KeyStorage,
    owner_limit: Option<OwnerLimit>,
    expiry: Expiry,
    first_period: Period,
    /// The key of an INSERT whose answer was not seen yet.
    sent: Option<StoredKey>,
    /// The keys of lost INSERTs, each of which may have left a session.
    lost: Vec<StoredKey>,
}

impl<V: AsRef<str> + Send + Sync, D: Drawn> Generate<V, D> {
    pub(crate) fn new(
        rules: &Rules,
        owner: Option<&str>,
        value: Option<V>,
        since: Option<DateTime<Utc>>,
        expiry: Option<TimeDelta>,
    ) -> Result<Self, Error> {
        owner.map_or(Ok(()), check_owner)?;
        value.as_ref().map_or(Ok(()), |value| rules.check_value(value.as_ref()))?;
        Ok(Self {
            drawn: D::draw()?,
            value,
            owner: owner.map(str::to_owned),
            since,
            storage: rules.key_storage(),
            owner_limit: rules.owner_limit(),
            expiry: rules.expiry(expiry)?,
            first_period: rules.first_period(expiry)?,
            sent: None,
            lost: Vec::new(),
        })
    }

    /// Draws another key after a run whose answer was lost. The lost INSERT can still arrive later: under the same key it
    /// would revive a session that was cleared in between.
    fn draw_again(&mut self) -> Result<(), Error> {
        if let Some(lost) = self.sent.take() {
            self.lost.push(lost);
            self.drawn = D::draw()?;
        }
        Ok(())
    }

    /// Deletes what lost INSERTs have left.
    async fn delete_lost<C: Queries>(&self, conn: &mut C) -> Result<(), Error> {
        for lost in &self.lost {
            let _was_there = conn.delete(lost).await?;
        }
        Ok(())
    }

    async fn insert<C: Queries>(&mut self, conn: &mut C) -> Result<D, Error> {
        for _ in 0..DRAWS {
            let key = StoredKey::new(&self.drawn.key(), self.storage);
            self.sent = Some(key);
            let (value, owner) = (self.value.as_ref().map(AsRef::as_ref), self.owner.as_deref());
            let inserted = match self.since {
                Some(since) => conn.insert_since(&key, value, owner, since, self.expiry).await?,
                // Most begin now, by a shorter statement.
                None => conn.insert(&key, value, owner, self.first_period).await?,
            };
            if inserted {
                return Ok(self.drawn);
            }
            // Another session's.
            self.sent = None;
            self.drawn = D::draw()?;
        }
        Err(Error::NotInserted { draws: DRAWS })
    }
}

impl<C, V, D> Operation<C> for Generate<V, D>
where
    C: OwnerQueries + Transactions,
    V: AsRef<str> + Send + Sync,
    D: Drawn,
{
    type Output = D;
    const NAME: &'static str = D::OPERATION;

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<D, Error> {
        self.draw_again()?;
        let (Some(owner), Some(limit)) = (self.owner.clone(), self.owner_limit) else {
            self.delete_lost(conn).await?;
            return self.insert(conn).await;
        };
        let mut transaction = Transaction::begin(conn).await?;
        let inserted = async {
            let conn = transaction.conn();
            // A lost INSERT that is still under way holds this lock; what it left must not count against the owner.
            conn.lock_owner(&owner).await?;
            self.delete_lost(conn).await?;
            make_room_in_lock(conn, &owner, limit, &StoredKey::NONE).await?;
            self.insert(conn).await
        };
        let inserted = inserted.await;
        transaction.end(inserted).await
    }
}
