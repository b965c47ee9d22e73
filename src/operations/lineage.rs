//! Finds the newest renewal of a session by the key of an older one.

use super::DELETE_ATTEMPTS;
use crate::database::{Ledger, Tombstone, TombstoneQueries};
use crate::error::Error;
use crate::key::StoredKey;

/// Looks at tombstones. Another request can change each of them before the next statement. That statement then finds
/// another ledger, and the operation looks again.
#[derive(Default)]
pub(super) struct Looks {
    last: Option<Ledger>,
    in_vain: u32,
}

impl Looks {
    /// Returns the tombstone under this key. If it stays the same again and again, it returns an error, because the
    /// cause is then the database and not another request. Examples are a trigger, a policy, or on Citus a worker's
    /// clock that differs from the coordinator's.
    pub(super) async fn look<C: TombstoneQueries>(
        &mut self,
        conn: &mut C,
        key: &StoredKey,
    ) -> Result<Option<Tombstone>, Error> {
        let Some(found) = conn.find_tombstone(key).await? else { return Ok(None) };
        let is_same = self.last.as_ref() == Some(&found.ledger);
        self.in_vain = if is_same { self.in_vain + 1 } else { 0 };
        if self.in_vain == DELETE_ATTEMPTS {
            return Err(Error::NotDeleted { sessions: 1 });
        }
        self.last = Some(found.ledger.clone());
        Ok(Some(found))
    }
}

/// Ends the session under a key. If it was renewed, ends its renewal. Returns whether there was one.
pub(super) async fn end<C: TombstoneQueries>(conn: &mut C, key: &StoredKey) -> Result<bool, Error> {
    Ok(conn.delete(key).await? || end_renewed(conn, key).await?)
}

/// Ends the renewal of a session, even if the session is still parked.
pub(super) async fn end_renewed<C: TombstoneQueries>(conn: &mut C, key: &StoredKey) -> Result<bool, Error> {
    let (mut key, mut looks) = (*key, Looks::default());
    loop {
        let tombstone_key = key.tombstone();
        let Some(tombstone) = looks.look(conn, &tombstone_key).await? else { return Ok(false) };
        match tombstone.ledger.successor() {
            None => {
                if conn.delete_tombstone(&tombstone_key, &tombstone.ledger).await? {
                    return Ok(true);
                }
            }
            Some(successor) => {
                if conn.delete(successor).await? {
                    return Ok(true);
                }
                key = *successor;
            }
        }
    }
}
