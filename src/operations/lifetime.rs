//! How a session goes on: under a new key, and for longer.

use chrono::TimeDelta;

use super::Operation;
use crate::backend::Queries;
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::rules::{Expiry, Period, Rules};

/// Gives a session a new key and returns it.
pub(crate) struct Rotate {
    old: StoredKey,
    key: SessionKey,
    new: StoredKey,
    lifetime: Period,
}

impl Rotate {
    pub(crate) fn new(rules: &Rules, old: &SessionKey) -> Result<Self, Error> {
        let key = SessionKey::random()?;
        Ok(Self { old: rules.stored_key(old), key, new: rules.stored_key(&key), lifetime: rules.lifetime() })
    }
}

impl<C: Queries> Operation<C> for Rotate {
    type Output = SessionKey;
    const NAME: &'static str = "rotate";

    async fn run(&mut self, conn: &mut C, repeated: bool) -> Result<SessionKey, Error> {
        // Nobody but our own first run knows the new key.
        if conn.rekey_live(&self.old, &self.new, self.lifetime).await?
            || repeated && conn.is_live(&self.new).await?
        {
            Ok(self.key)
        } else {
            Err(Error::NotFound)
        }
    }
}

/// Prolongs a session and says whether it wrote.
pub(crate) struct Touch {
    key: StoredKey,
    expiry: Expiry,
    step: Period,
}

impl Touch {
    pub(crate) fn new(rules: &Rules, key: &SessionKey, expiry: Option<TimeDelta>) -> Result<Self, Error> {
        let expiry = rules.expiry(expiry)?;
        Ok(Self { key: rules.stored_key(key), expiry, step: rules.touch_step(expiry.period) })
    }
}

impl<C: Queries> Operation<C> for Touch {
    type Output = bool;
    const NAME: &'static str = "touch";

    async fn run(&mut self, conn: &mut C, repeated: bool) -> Result<bool, Error> {
        if conn.prolong_live(&self.key, self.expiry, self.step).await? {
            return Ok(true);
        }
        if conn.is_live(&self.key).await? {
            // Not worth a write; repeated, most likely since our own first run has written.
            Ok(repeated)
        } else {
            Err(Error::NotFound)
        }
    }
}
