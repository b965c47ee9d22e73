//! Takes over sessions of another store.
//!
//! The visitors keep their cookies, so these sessions have keys that this store did not draw. For each of them the
//! table keeps a *memory of the import*: a row under a key that no client can have. It outlives the session as the
//! other store knows it. So a later import finds it, and revives no session that was ended in between.

use chrono::TimeDelta;

use super::Draft;
use crate::database::{NewRow, SaveQueries, Transactions};
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::operations::Operation;
use crate::operations::clear_all::EVERYBODY;
use crate::operations::transaction::Transaction;
use crate::options::{LONGEST_PERIOD, Options, Period};

/// How much longer than the session its memory lives. Two imports can run on machines whose clocks differ by this much.
const MARGIN: TimeDelta = TimeDelta::days(1);

/// A session of another store, ready to be imported.
pub(crate) struct Arrival {
    key: StoredKey,
    draft: Draft,
    memory: StoredKey,
    memory_lives: Period,
}

impl Arrival {
    /// Takes the session's key, and how long it lives.
    pub(crate) fn new(
        options: &Options,
        key: &SessionKey,
        draft: Draft,
        left: TimeDelta,
    ) -> Result<Self, Error> {
        let memory_lives = Period::new((left + MARGIN).min(LONGEST_PERIOD))?;
        Ok(Self { key: options.stored_key(key), draft, memory: StoredKey::imported(key), memory_lives })
    }
}

/// Imports sessions in one transaction. Returns for each whether it is new.
pub(crate) struct Import(Vec<Arrival>);

impl Import {
    pub(crate) fn new(arrivals: Vec<Arrival>) -> Self {
        Self(arrivals)
    }

    async fn import<C: SaveQueries>(&self, conn: &mut C) -> Result<Vec<bool>, Error> {
        // Otherwise two imports would wait for each other's rows, and `clear_all` would miss the rows of this one.
        conn.lock_owner(EVERYBODY).await?;
        let mut are_new = Vec::with_capacity(self.0.len());
        for Arrival { key, draft, memory, memory_lives } in &self.0 {
            let is_new = conn.insert(memory, None, None, *memory_lives).await?;
            are_new.push(is_new && insert(conn, key, draft).await?);
        }
        Ok(are_new)
    }
}

/// Inserts a session. Returns `false` if its key is taken.
async fn insert<C: SaveQueries>(conn: &mut C, key: &StoredKey, draft: &Draft) -> Result<bool, Error> {
    let (owner, label) = (draft.owner.or(None), draft.label.or(None));
    let row = NewRow { value: Some(&draft.value), owner, label };
    // It begins now. The other store does not know when it began.
    Ok(conn.insert_since(key, row, chrono::DateTime::<chrono::Utc>::MAX_UTC, draft.deadline).await?)
}

impl<C: SaveQueries + Transactions> Operation<C> for Import {
    type Output = Vec<bool>;
    const NAME: &'static str = "import";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<Vec<bool>, Error> {
        let mut transaction = Transaction::begin(conn).await?;
        let done = self.import(transaction.conn()).await;
        transaction.end(done).await
    }
}
