//! What [`Now`](crate::Now) has, but for `generate`.

use chrono::TimeDelta;

use super::Operation;
use crate::backend::Queries;
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::rules::{Expiry, Rules};

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
