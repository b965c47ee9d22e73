//! Does the second half of a renewal.

use chrono::{DateTime, Utc};

use super::Nonce;
use super::save::Draft;
use crate::database::{Ledger, NewRow, SaveQueries, Tombstone, Transactions};
use crate::error::Error;
use crate::key::{KeyStorage, StoredKey};
use crate::operations::Operation;
use crate::operations::generate::Drawn;
use crate::operations::lineage::Looks;
use crate::operations::owner::enforce_owner_limit;
use crate::operations::transaction::Transaction;
use crate::options::Options;

/// Continues a parked session under a new key. Returns its new name and the time when the session was created.
pub(crate) struct Continue<D> {
    /// The new name, which is the same for all attempts. If a late attempt finds its key in the ledger, it is done.
    drawn: D,
    /// The key of the parked session's tombstone.
    tombstone: StoredKey,
    /// `None` if the framework distinguishes a renewal from a logout.
    nonce: Option<Nonce>,
    draft: Draft,
    storage: KeyStorage,
}

impl<D: Drawn> Continue<D> {
    /// Takes the [digits](StoredKey::digits) of the tombstone.
    pub(crate) fn new(
        options: &Options,
        digits: &str,
        nonce: Option<Nonce>,
        draft: Draft,
    ) -> Result<Self, Error> {
        // If the digits are no tombstone's, the session was never parked.
        let tombstone = StoredKey::of_tombstone(digits).ok_or(Error::NotFound)?;
        Ok(Self { drawn: D::draw()?, tombstone, nonce, draft, storage: options.key_storage() })
    }

    fn key(&self) -> StoredKey {
        StoredKey::new(&self.drawn.key(), self.storage)
    }

    /// Starts the session under its new key, with this ledger for the old one. Returns `false` if another request came
    /// first.
    async fn succeed<C: SaveQueries + Transactions>(
        &self,
        conn: &mut C,
        key: &StoredKey,
        tombstone: &Tombstone,
        ledger: &Ledger,
    ) -> Result<bool, Error> {
        let draft = &self.draft;
        let (ours, owner) = (self.key(), draft.owner.or(tombstone.owner.as_deref()));
        let label = draft.label.or(tombstone.label.as_deref());
        let session = (&ours, NewRow { value: Some(&draft.value), owner, label });
        let ledger = ledger.continued_as(&ours);
        let Some((owner, limit)) = owner.zip(draft.owner_limit) else {
            return Ok(conn.continue_parked(key, tombstone, &ledger, session, draft.deadline).await?);
        };
        let mut transaction = Transaction::begin(conn).await?;
        let done = async {
            let conn = transaction.conn();
            // Lock the owner before any row.
            enforce_owner_limit(conn, owner, limit, &StoredKey::NONE).await?;
            Ok(conn.continue_parked(key, tombstone, &ledger, session, draft.deadline).await?)
        };
        let done = done.await;
        transaction.end_if(done).await
    }

    /// Moves the session that another renewal has continued to our key, with our data. The last renewal counts.
    async fn take_over<C: SaveQueries + Transactions>(
        &self,
        conn: &mut C,
        theirs: &StoredKey,
    ) -> Result<bool, Error> {
        let mut transaction = Transaction::begin(conn).await?;
        let done = self.move_here(transaction.conn(), theirs).await;
        transaction.end_if(done).await
    }

    async fn move_here<C: SaveQueries>(&self, conn: &mut C, theirs: &StoredKey) -> Result<bool, Error> {
        let (ours, draft) = (self.key(), &self.draft);
        if let Some((owner, limit)) = draft.owner.parts().1.zip(draft.owner_limit) {
            // Lock the owner before any row of this session, so that no two calls wait for each other.
            enforce_owner_limit(conn, owner, limit, theirs).await?;
        }
        if !conn.rekey_live(theirs, &ours, draft.deadline.lifetime).await? {
            return Ok(false);
        }
        let Some((_, owner, label)) = conn.lock_live(&ours).await? else { return Ok(false) };
        let (owner, label) = (draft.owner.or(owner.as_deref()), draft.label.or(label.as_deref()));
        let row = NewRow { value: Some(&draft.value), owner, label };
        Ok(conn.overwrite_live(&ours, row, draft.deadline).await?)
    }
}

impl<C: SaveQueries + Transactions, D: Drawn> Operation<C> for Continue<D> {
    type Output = (D, DateTime<Utc>);
    const NAME: &'static str = D::OPERATION;

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<Self::Output, Error> {
        let (mut key, mut looks) = (self.tombstone, Looks::default());
        loop {
            let found = looks.look(conn, &key).await?.ok_or(Error::NotFound)?;
            let entry = self.nonce.as_ref().map(Nonce::continued);
            match (found.ledger.successor(), &entry) {
                (Some(successor), _) if *successor == self.key() => return Ok((self.drawn, found.created)),
                // An earlier attempt of this call was refused, because another request had ended the session.
                (Some(_), Some(entry)) if found.ledger.has(entry) => return Err(Error::NotFound),
                (Some(successor), Some(_)) => key = successor.tombstone(),
                (Some(successor), None) => {
                    if self.take_over(conn, successor).await? {
                        return Ok((self.drawn, found.created));
                    }
                    key = successor.tombstone();
                }
                (None, _) => {
                    let is_counted = entry.as_ref().is_none_or(|entry| found.ledger.has(entry));
                    let ledger = found.ledger.with(entry.as_deref().filter(|_| !is_counted).unwrap_or(""));
                    if ledger.is_balanced() {
                        if self.succeed(conn, &key, &found, &ledger).await? {
                            return Ok((self.drawn, found.created));
                        }
                    } else if is_counted || conn.write_ledger(&key, &found.ledger, &ledger).await? {
                        return Err(Error::NotFound);
                    }
                }
            }
        }
    }
}
