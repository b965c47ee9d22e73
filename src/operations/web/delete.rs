//! The end of a session, or the first half of a renewal.

use crate::database::TombstoneQueries;
use crate::error::Error;
use crate::key::{SessionKey, StoredKey, fill_random};
use crate::operations::Operation;
use crate::operations::lineage::end_renewed;
use crate::options::Options;

/// One call of a framework, in the ledger of a tombstone: a retry of the call has the same nonce.
#[derive(Clone)]
pub(crate) struct Nonce(String);

impl Nonce {
    pub(crate) fn draw() -> Result<Self, Error> {
        let mut bits = [0; 8];
        fill_random(&mut bits)?;
        Ok(Self(hex::encode(bits)))
    }

    /// The entry of a call that ended the session.
    pub(super) fn ended(&self) -> String {
        format!("-{}", self.0)
    }

    /// The entry of a call that wanted to continue the session.
    pub(super) fn continued(&self) -> String {
        format!("+{}", self.0)
    }
}

/// Ends a session for a framework.
pub(crate) enum Delete {
    /// The framework's call tells a logout from a renewal: the key of the first, and of the second.
    Either { logout: StoredKey, renewal: StoredKey },
    /// The call does not tell. The session is parked in both cases.
    Unknown { key: StoredKey, nonce: Nonce },
}

impl Delete {
    /// Ends the session of the first key, or parks that of the second.
    pub(crate) fn either(options: &Options, logout: &SessionKey, renewal: &SessionKey) -> Self {
        Self::Either { logout: options.stored_key(logout), renewal: options.stored_key(renewal) }
    }

    pub(crate) fn unknown(options: &Options, key: &SessionKey) -> Result<Self, Error> {
        Ok(Self::Unknown { key: options.stored_key(key), nonce: Nonce::draw()? })
    }
}

impl<C: TombstoneQueries> Operation<C> for Delete {
    type Output = ();
    const NAME: &'static str = "delete";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        match self {
            Self::Either { logout, renewal } => {
                if !conn.delete(logout).await? && !conn.park(renewal, "").await? {
                    let _was_there = end_renewed(conn, logout).await?;
                }
                Ok(())
            }
            Self::Unknown { key, nonce } => park(conn, *key, &nonce.ended()).await,
        }
    }
}

/// Parks the session, or the one that it was renewed as; or adds to the ledger of one that is parked already.
async fn park<C: TombstoneQueries>(conn: &mut C, mut key: StoredKey, entry: &str) -> Result<(), Error> {
    while !conn.park(&key, entry).await? {
        let tombstone = key.tombstone();
        let Some(found) = conn.find_tombstone(&tombstone).await? else { return Ok(()) };
        if found.ledger.has(entry) {
            return Ok(());
        }
        match found.ledger.successor() {
            Some(successor) => key = *successor,
            None => {
                if conn.write_ledger(&tombstone, &found.ledger, &found.ledger.with(entry)).await? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
