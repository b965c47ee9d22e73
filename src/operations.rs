//! The operations, each on one connection: what is checked before the database is asked, and what its
//! answer means. They know no pool.
//!
//! An operation is checked when it is made; then it runs on any connection, and again on another where a
//! pool had to replace a lost one.

use chrono::TimeDelta;

use crate::backend::Queries;
use crate::error::Error;
use crate::key::{KeyStorage, SessionKey, StoredKey};
use crate::rules::{Period, Rules};

/// How many keys are drawn before a database that keeps none of them is given up.
const DRAWS: u32 = 3;

/// One operation, ready to run.
pub(crate) trait Operation<C> {
    type Output;

    /// Runs it. `repeated` says that an earlier run may have taken effect without our knowing.
    fn run(&mut self, conn: &mut C, repeated: bool) -> Result<Self::Output, Error>;
}

/// Starts a session and returns its key.
pub(crate) struct Generate<V> {
    key: SessionKey,
    storage: KeyStorage,
    value: Option<V>,
    period: Period,
}

impl<V: AsRef<str>> Generate<V> {
    pub(crate) fn new(rules: &Rules, value: Option<V>, expiry: Option<TimeDelta>) -> Result<Self, Error> {
        if let Some(value) = &value {
            rules.check_value(value.as_ref())?;
        }
        let period = rules.period(expiry)?;
        Ok(Self { key: SessionKey::random()?, storage: rules.key_storage(), value, period })
    }
}

impl<C: Queries, V: AsRef<str>> Operation<C> for Generate<V> {
    type Output = SessionKey;

    fn run(&mut self, conn: &mut C, repeated: bool) -> Result<SessionKey, Error> {
        let value = self.value.as_ref().map(AsRef::as_ref);
        for _ in 0..DRAWS {
            let stored = StoredKey::new(&self.key, self.storage);
            // Repeated, a key that is taken was taken by our own first run.
            if conn.insert(&stored, value, self.period)? || repeated {
                return Ok(self.key);
            }
            self.key = SessionKey::random()?;
        }
        Err(Error::NotInserted { draws: DRAWS })
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

    fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        // Idempotent: a session that was not there is as gone as one that was.
        let _was_there = conn.delete(&self.key)?;
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

    fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(String, TimeDelta), Error> {
        let (value, left) = conn.load_live(&self.key)?.ok_or(Error::NotFound)?;
        Ok((value.ok_or(Error::NotSet)?, left))
    }
}

/// Sets a live session's value and expiry.
pub(crate) struct Set<V> {
    key: StoredKey,
    value: V,
    period: Period,
}

impl<V: AsRef<str>> Set<V> {
    pub(crate) fn new(
        rules: &Rules,
        key: &SessionKey,
        value: V,
        expiry: Option<TimeDelta>,
    ) -> Result<Self, Error> {
        rules.check_value(value.as_ref())?;
        Ok(Self { key: rules.stored_key(key), value, period: rules.period(expiry)? })
    }
}

impl<C: Queries, V: AsRef<str>> Operation<C> for Set<V> {
    type Output = ();

    fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        if conn.update_live(&self.key, self.value.as_ref(), self.period)? {
            Ok(())
        } else {
            Err(Error::NotFound)
        }
    }
}

/// Deletes one batch of expired sessions and returns how many.
pub(crate) struct DeleteExpired {
    pub(crate) limit: u32,
}

impl<C: Queries> Operation<C> for DeleteExpired {
    type Output = usize;

    fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<usize, Error> {
        if self.limit == 0 {
            return Ok(0);
        }
        Ok(conn.delete_expired(self.limit)?)
    }
}
