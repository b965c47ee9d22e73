//! Starts a session under a new key.

use chrono::{DateTime, Utc};

use super::owner::enforce_owner_limit_in_lock;
use super::transaction::Transaction;
use super::{KEY_ATTEMPTS, Operation};
use crate::database::{NewRow, OwnerQueries, Queries, Transactions};
use crate::error::Error;
use crate::key::{KeyStorage, SessionKey, StoredKey};
use crate::options::{Deadline, Options, OwnerLimit, Period, check_label, check_owner};
use crate::session::NewSession;

/// The name by which a client knows a new session. The store draws it, and never takes it from a client.
pub(crate) trait Drawn: Copy + Send + Sync + 'static {
    /// The name in logs of the operation that starts such a session.
    const OPERATION: &'static str;

    /// Draws a random name.
    fn draw() -> Result<Self, Error>;

    /// Returns the key of the session with this name.
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
pub(crate) struct Generate<D> {
    /// The name for the present attempt.
    drawn: D,
    value: Option<String>,
    owner: Option<String>,
    label: Option<String>,
    storage: KeyStorage,
    owner_limit: Option<OwnerLimit>,
    deadline: Deadline,
    first_period: Period,
    /// The key of an INSERT that is not answered yet.
    sent: Option<StoredKey>,
    /// The keys of lost INSERTs. Each of them may have left a session.
    lost: Vec<StoredKey>,
}

impl<D: Drawn> Generate<D> {
    pub(crate) fn new(options: &Options, session: &NewSession<'_>) -> Result<Self, Error> {
        session.owner.map_or(Ok(()), check_owner)?;
        session.label.map_or(Ok(()), check_label)?;
        session.value.map_or(Ok(()), |value| options.check_value(value))?;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self {
            drawn: D::draw()?,
            value: owned(session.value),
            owner: owned(session.owner),
            label: owned(session.label),
            storage: options.key_storage(),
            owner_limit: options.owner_limit(),
            deadline: options.deadline_after(session.period)?,
            first_period: options.first_period(session.period)?,
            sent: None,
            lost: Vec::new(),
        })
    }

    /// Draws another key if the answer of the last run was lost. The lost INSERT can still arrive later. Under the same
    /// key it would revive a session that was cleared in between.
    fn draw_again(&mut self) -> Result<(), Error> {
        if let Some(lost) = self.sent.take() {
            self.lost.push(lost);
            self.drawn = D::draw()?;
        }
        Ok(())
    }

    /// Deletes the sessions that lost INSERTs have left.
    async fn delete_lost<C: Queries>(&self, conn: &mut C) -> Result<(), Error> {
        for lost in &self.lost {
            let _was_there = conn.delete(lost).await?;
        }
        Ok(())
    }

    async fn insert<C: Queries>(&mut self, conn: &mut C) -> Result<D, Error> {
        for _ in 0..KEY_ATTEMPTS {
            let key = StoredKey::new(&self.drawn.key(), self.storage);
            self.sent = Some(key);
            let (value, owner, label) = (self.value.as_deref(), self.owner.as_deref(), self.label.as_deref());
            let inserted = if label.is_none() {
                // The usual case has a separate statement, which sends less.
                conn.insert(&key, value, owner, self.first_period).await?
            } else {
                // A start in the future means now.
                let since = DateTime::<Utc>::MAX_UTC;
                conn.insert_since(&key, NewRow { value, owner, label }, since, self.deadline).await?
            };
            if inserted {
                return Ok(self.drawn);
            }
            // The key belongs to another session.
            self.sent = None;
            self.drawn = D::draw()?;
        }
        Err(Error::NotInserted { attempts: KEY_ATTEMPTS })
    }
}

impl<C: OwnerQueries + Transactions, D: Drawn> Operation<C> for Generate<D> {
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
            // A lost INSERT that is still under way holds this lock. The session that it leaves must not count against
            // the owner.
            conn.lock_owner(&owner).await?;
            self.delete_lost(conn).await?;
            enforce_owner_limit_in_lock(conn, &owner, limit, &StoredKey::NONE).await?;
            self.insert(conn).await
        };
        let inserted = inserted.await;
        transaction.end(inserted).await
    }
}
