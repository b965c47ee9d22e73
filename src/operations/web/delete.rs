//! Ends a session, or does the first half of a renewal.

#[cfg(feature = "actix-session")]
use super::Nonce;
use crate::database::TombstoneQueries;
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::operations::Operation;
#[cfg(feature = "actix-session")]
use crate::operations::lineage::Looks;
#[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
use crate::operations::lineage::end_renewed;
use crate::options::Options;

/// Ends a session, or parks one: for a framework that distinguishes a logout from a renewal.
#[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
pub(crate) struct EndOrPark {
    /// The key of the session, if this is a logout.
    logout: StoredKey,
    /// The key of the session, if this is a renewal.
    renewal: StoredKey,
}

#[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
impl EndOrPark {
    pub(crate) fn new(options: &Options, logout: &SessionKey, renewal: &SessionKey) -> Self {
        Self { logout: options.stored_key(logout), renewal: options.stored_key(renewal) }
    }
}

#[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
impl<C: TombstoneQueries> Operation<C> for EndOrPark {
    type Output = ();
    const NAME: &'static str = "delete";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        if !conn.delete(&self.logout).await? && !conn.park(&self.renewal, "").await? {
            let _was_there = end_renewed(conn, &self.logout).await?;
        }
        Ok(())
    }
}

/// Parks a session: for a framework that does not distinguish a logout from a renewal.
#[cfg(feature = "actix-session")]
pub(crate) struct Park {
    key: StoredKey,
    nonce: Nonce,
}

#[cfg(feature = "actix-session")]
impl Park {
    pub(crate) fn new(options: &Options, key: &SessionKey) -> Result<Self, Error> {
        Ok(Self { key: options.stored_key(key), nonce: Nonce::draw()? })
    }
}

#[cfg(feature = "actix-session")]
impl<C: TombstoneQueries> Operation<C> for Park {
    type Output = ();
    const NAME: &'static str = "delete";

    /// Parks the session or its renewal. If the session is parked already, adds to its ledger.
    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        let (mut key, entry, mut looks) = (self.key, self.nonce.ended(), Looks::default());
        while !conn.park(&key, &entry).await? {
            let tombstone = key.tombstone();
            let Some(found) = looks.look(conn, &tombstone).await? else { return Ok(()) };
            if found.ledger.has(&entry) {
                return Ok(());
            }
            if let Some(successor) = found.ledger.successor() {
                key = *successor;
            } else if conn.write_ledger(&tombstone, &found.ledger, &found.ledger.with(&entry)).await? {
                return Ok(());
            }
        }
        Ok(())
    }
}
