//! A session and its renewals: how to find the newest one by the key of an older one.

use crate::database::TombstoneQueries;
use crate::error::Error;
use crate::key::StoredKey;

/// Ends the session under a key, or the one that it was renewed as. Says whether there was one.
pub(super) async fn end<C: TombstoneQueries>(conn: &mut C, key: &StoredKey) -> Result<bool, Error> {
    Ok(conn.delete(key).await? || end_renewed(conn, key).await?)
}

/// Ends the session that another one was renewed as, or is about to be renewed as. Each step is one statement that fails
/// if another request came first; then this looks again.
pub(super) async fn end_renewed<C: TombstoneQueries>(conn: &mut C, key: &StoredKey) -> Result<bool, Error> {
    let mut key = *key;
    loop {
        let tombstone_key = key.tombstone();
        let Some(tombstone) = conn.find_tombstone(&tombstone_key).await? else { return Ok(false) };
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
