//! Reads, sets and ends one session.

use chrono::TimeDelta;

use super::lineage::end;
use super::{Operation, found};
use crate::database::{Queries, TombstoneQueries};
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::options::{Options, Renewal};
use crate::session::{Expiry, Session};

/// Ends a session. If it was renewed, ends its renewal.
pub(crate) struct Clear {
    key: StoredKey,
}

impl Clear {
    pub(crate) fn new(options: &Options, key: &SessionKey) -> Self {
        Self { key: options.stored_key(key) }
    }
}

impl<C: TombstoneQueries> Operation<C> for Clear {
    type Output = ();
    const NAME: &'static str = "clear";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        // Idempotent: a session that did not exist is as gone as one that did.
        let _was_there = end(conn, &self.key).await?;
        Ok(())
    }
}

/// Reads a session's value and the rest of its period.
pub(crate) struct Get {
    key: StoredKey,
}

impl Get {
    pub(crate) fn new(options: &Options, key: &SessionKey) -> Self {
        Self { key: options.stored_key(key) }
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

/// Reads everything that is known of a session.
pub(crate) struct Find {
    key: StoredKey,
}

impl Find {
    pub(crate) fn new(options: &Options, key: &SessionKey) -> Self {
        Self { key: options.stored_key(key) }
    }
}

impl<C: Queries> Operation<C> for Find {
    type Output = Session;
    const NAME: &'static str = "find";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<Session, Error> {
        conn.find_live(&self.key).await?.ok_or(Error::NotFound)
    }
}

/// Sets a live session's value.
pub(crate) struct Set {
    key: StoredKey,
    value: String,
    renewal: Renewal,
}

impl Set {
    pub(crate) fn new(
        options: &Options,
        key: &SessionKey,
        value: &str,
        expiry: Expiry,
    ) -> Result<Self, Error> {
        options.check_value(value)?;
        let renewal = options.renewal(expiry)?;
        Ok(Self { key: options.stored_key(key), value: value.to_owned(), renewal })
    }
}

impl<C: Queries> Operation<C> for Set {
    type Output = ();
    const NAME: &'static str = "set";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        found(conn.update_live(&self.key, &self.value, self.renewal).await?)
    }
}
