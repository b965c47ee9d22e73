//! Continues a session under a new key, or for longer.

use super::Operation;
use crate::database::Queries;
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::options::{Deadline, Options, Period, Renewal};
use crate::session::Expiry;

/// Gives a session a new key and returns it.
pub(crate) struct Rotate {
    old: StoredKey,
    key: SessionKey,
    new: StoredKey,
    lifetime: Period,
}

impl Rotate {
    pub(crate) fn new(options: &Options, old: &SessionKey) -> Result<Self, Error> {
        let key = SessionKey::random()?;
        Ok(Self {
            old: options.stored_key(old),
            key,
            new: options.stored_key(&key),
            lifetime: options.lifetime(),
        })
    }
}

impl<C: Queries> Operation<C> for Rotate {
    type Output = SessionKey;
    const NAME: &'static str = "rotate";

    async fn run(&mut self, conn: &mut C, repeated: bool) -> Result<SessionKey, Error> {
        // Only our own first run knows the new key.
        if conn.rekey_live(&self.old, &self.new, self.lifetime).await?
            || repeated && conn.is_live(&self.new).await?
        {
            Ok(self.key)
        } else {
            Err(Error::NotFound)
        }
    }
}

/// Extends a session and records that it is in use, or only records that. Returns whether it wrote.
pub(crate) struct Touch {
    key: StoredKey,
    /// The new expiry, and by how much it must be later at least.
    deadline: Option<(Deadline, Period)>,
    interval: Period,
}

impl Touch {
    pub(crate) fn new(options: &Options, key: &SessionKey, expiry: Expiry) -> Result<Self, Error> {
        let deadline = match options.renewal(expiry)? {
            Renewal::Until(deadline) => Some((deadline, options.touch_gain(deadline))),
            Renewal::Keep(_) => None,
        };
        Ok(Self { key: options.stored_key(key), deadline, interval: options.touch_interval() })
    }
}

impl<C: Queries> Operation<C> for Touch {
    type Output = bool;
    const NAME: &'static str = "touch";

    async fn run(&mut self, conn: &mut C, repeated: bool) -> Result<bool, Error> {
        let wrote = match self.deadline {
            Some((deadline, gain)) => conn.prolong_live(&self.key, deadline, gain, self.interval).await?,
            None => conn.use_live(&self.key, self.interval).await?,
        };
        if wrote {
            return Ok(true);
        }
        if conn.is_live(&self.key).await? {
            // It was not worth a write. In a repeated run, the first run has most likely written.
            Ok(repeated)
        } else {
            Err(Error::NotFound)
        }
    }
}
