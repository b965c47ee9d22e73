//! Takes over sessions of another store.
//!
//! The visitors keep their cookies, so these sessions have keys that this store did not draw. For each of them the
//! table keeps an *import marker*: a row under a key that no client can have. It outlives the session as the other
//! store knows it. So a later import finds it, and revives no session that was ended in between.

use std::collections::HashSet;

use chrono::TimeDelta;

use super::{Draft, Nonce};
use crate::database::{AdminQueries, NewRow, Transactions};
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::operations::Operation;
use crate::operations::clear_all::EVERYBODY;
use crate::operations::transaction::Transaction;
use crate::options::{LONGEST_PERIOD, Options, Period};

/// How much longer than the session its marker lives. Until then, the other store can go on and prolong the session,
/// and a later import still finds the marker.
const MARGIN: TimeDelta = TimeDelta::days(30);

/// Rows per statement.
const BATCH: usize = 500;

/// A session of another store.
pub(crate) struct ImportedSession {
    key: StoredKey,
    draft: Draft,
    period: Period,
    marker: StoredKey,
    marker_period: Period,
}

impl ImportedSession {
    /// Takes the session's key, and how long it still lives.
    pub(crate) fn new(
        options: &Options,
        key: &SessionKey,
        draft: Draft,
        left: TimeDelta,
    ) -> Result<Self, Error> {
        Ok(Self {
            key: options.stored_key(key),
            draft,
            period: options.first_period(Some(left))?,
            marker: StoredKey::import_marker(key),
            marker_period: Period::new((left + MARGIN).min(LONGEST_PERIOD))?,
        })
    }

    /// Returns the rows of the session and of its marker.
    fn rows<'a>(&'a self, nonce: &'a str) -> [(StoredKey, NewRow<'a>, Period); 2] {
        let (owner, label) = (self.draft.owner.or(None), self.draft.label.or(None));
        let session = NewRow { value: Some(&self.draft.value), owner, label };
        let marker = NewRow { value: Some(nonce), owner: None, label: None };
        [(self.key, session, self.period), (self.marker, marker, self.marker_period)]
    }
}

/// Imports sessions in one transaction. Returns for each whether it is new.
pub(crate) struct Import {
    sessions: Vec<ImportedSession>,
    /// The value of the markers. If an earlier attempt of this call got no answer, the markers show what it did.
    nonce: Nonce,
}

impl Import {
    pub(crate) fn new(sessions: Vec<ImportedSession>) -> Result<Self, Error> {
        Ok(Self { sessions, nonce: Nonce::draw()? })
    }

    async fn import<C: AdminQueries>(&self, conn: &mut C) -> Result<Vec<bool>, Error> {
        let nonce = self.nonce.as_str();
        // Otherwise two imports could import one session, and `clear_all` would miss the rows of this one.
        conn.lock_owner(EVERYBODY).await?;
        let mut known = HashSet::new();
        let mut is_repeated = false;
        for batch in self.sessions.chunks(BATCH) {
            let markers: Vec<StoredKey> = batch.iter().map(|session| session.marker).collect();
            for (marker, value) in conn.values_under(&markers).await? {
                if value.as_deref() == Some(nonce) {
                    is_repeated = true;
                } else {
                    known.insert(marker);
                }
            }
        }
        let are_new: Vec<bool> = self.sessions.iter().map(|session| known.insert(session.marker)).collect();
        // A second INSERT would revive what was ended since the first.
        if !is_repeated {
            let new = self.sessions.iter().zip(&are_new).filter(|(_, is_new)| **is_new);
            let rows: Vec<_> = new.flat_map(|(session, _)| session.rows(nonce)).collect();
            for batch in rows.chunks(BATCH) {
                conn.insert_rows(batch).await?;
            }
        }
        Ok(are_new)
    }
}

impl<C: AdminQueries + Transactions> Operation<C> for Import {
    type Output = Vec<bool>;
    const NAME: &'static str = "import";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<Vec<bool>, Error> {
        let mut transaction = Transaction::begin(conn).await?;
        let done = self.import(transaction.conn()).await;
        transaction.end(done).await
    }
}
