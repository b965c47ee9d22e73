//! Saves all data of a request. It keeps what other requests have saved since that one loaded the session.

use chrono::TimeDelta;

use crate::database::{NewRow, SaveQueries, SavedText, Transactions};
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::operations::owner::enforce_owner_limit;
use crate::operations::transaction::Transaction;
use crate::operations::{Operation, found};
use crate::options::{Deadline, Options, OwnerLimit, Renewal, ValueLimit, check_label, check_owner};

/// The effect of a save if two requests have changed one field to different values. It is the setting `conflicts` of the
/// stores for web frameworks. The default is [`LastWriterWins`](Self::LastWriterWins).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Conflicts {
    /// The save that comes last writes its value.
    #[default]
    LastWriterWins,
    /// The save that comes last fails with [`Error::Changed`] and writes nothing.
    Reject,
}

/// A session as a framework wants to save it.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) value: String,
    pub(crate) owner: SavedText,
    pub(crate) label: SavedText,
    pub(super) owner_limit: Option<OwnerLimit>,
    pub(super) deadline: Deadline,
}

impl Draft {
    pub(crate) fn new(
        options: &Options,
        value: String,
        (owner, label): (SavedText, SavedText),
        expiry: TimeDelta,
    ) -> Result<Self, Error> {
        let (owner_limit, deadline) = (options.owner_limit(), options.deadline_after(Some(expiry))?);
        check_texts(&owner, &label)?;
        options.check_value(&value)?;
        Ok(Self { value, owner, label, owner_limit, deadline })
    }
}

fn check_texts(owner: &SavedText, label: &SavedText) -> Result<(), Error> {
    owner.parts().1.map_or(Ok(()), check_owner)?;
    label.parts().1.map_or(Ok(()), check_label)
}

/// Merges three values: the one that a request has loaded (if it is known), the one that it saves, and the one that the
/// session has by now.
pub(crate) type Merge = Box<dyn Fn(Option<&str>, &str, Option<&str>) -> Result<Merged, Error> + Send + Sync>;

/// A value with its owner and its label.
pub(crate) struct Merged {
    pub(crate) value: String,
    pub(crate) owner: SavedText,
    pub(crate) label: SavedText,
}

/// Saves a session.
pub(crate) struct Save {
    /// The keys that the session may have. The save goes to the first one that is live.
    keys: Vec<StoredKey>,
    /// The value as it was loaded, if it is known. If so, the save first tries one statement without a merge.
    base: Option<String>,
    is_changed: bool,
    draft: Draft,
    merge: Merge,
    value_limit: ValueLimit,
}

impl Save {
    pub(crate) fn new(
        options: &Options,
        keys: &[SessionKey],
        draft: Draft,
        (base, is_changed): (Option<String>, bool),
        merge: Merge,
    ) -> Self {
        let keys = keys.iter().map(|key| options.stored_key(key)).collect();
        Self { keys, base, is_changed, draft, merge, value_limit: options.value_limit() }
    }

    async fn save<C: SaveQueries + Transactions>(&self, conn: &mut C, key: &StoredKey) -> Result<(), Error> {
        let Draft { value, owner, label, deadline, .. } = &self.draft;
        if let Some(base) = &self.base {
            let value = self.is_changed.then_some(value.as_str());
            if conn.save_live(key, base, value, (owner, label), *deadline).await? {
                return Ok(());
            }
        } else if (owner, label) == (&SavedText::Keep, &SavedText::Keep) {
            return found(conn.update_live(key, value, Renewal::Until(*deadline)).await?);
        }
        let mut locked = owner.parts().1.map(str::to_owned);
        loop {
            let mut transaction = Transaction::begin(conn).await?;
            match self.merge(transaction.conn(), key, locked.as_deref()).await {
                Ok(Some(LockFirst(other))) => {
                    transaction.roll_back().await;
                    locked = other;
                }
                done => return transaction.end(done.map(drop)).await,
            }
        }
    }

    /// Saves in a transaction. With an owner's limit it first makes room for `made_room_for`, because an owner is locked
    /// before any row. Returns the owner to make room for first, if it is another one.
    async fn merge<C: SaveQueries>(
        &self,
        conn: &mut C,
        key: &StoredKey,
        made_room_for: Option<&str>,
    ) -> Result<Option<LockFirst>, Error> {
        if let Some((owner, limit)) = made_room_for.zip(self.draft.owner_limit) {
            enforce_owner_limit(conn, owner, limit, key).await?;
        }
        let (value, owner, label) = conn.lock_live(key).await?.ok_or(Error::NotFound)?;
        let merged = (self.merge)(self.base.as_deref(), &self.draft.value, value.as_deref())?;
        self.value_limit.check(&merged.value)?;
        check_texts(&merged.owner, &merged.label)?;
        let new_owner = merged.owner.or(owner.as_deref());
        let needs_room = new_owner.filter(|new| owner.as_deref() != Some(new));
        if self.draft.owner_limit.is_some() && needs_room != made_room_for {
            // Another request has changed the owner, or this one leaves it as it is.
            let is_room_for_this = made_room_for.is_some() && made_room_for == new_owner;
            if !is_room_for_this {
                return Ok(Some(LockFirst(needs_room.map(str::to_owned))));
            }
        }
        let label = merged.label.or(label.as_deref());
        let row = NewRow { value: Some(&merged.value), owner: new_owner, label };
        found(conn.overwrite_live(key, row, self.draft.deadline).await?)?;
        Ok(None)
    }
}

/// The owner for which another transaction must make room first, if any.
struct LockFirst(Option<String>);

impl<C: SaveQueries + Transactions> Operation<C> for Save {
    type Output = ();
    const NAME: &'static str = "save";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        for key in &self.keys {
            match self.save(conn, key).await {
                Err(Error::NotFound) => {}
                saved => return saved,
            }
        }
        Err(Error::NotFound)
    }
}
