//! Takes over the sessions of another store for tower-sessions.

use chrono::TimeDelta;

use super::calls::{Fields, key, left};
use super::{TowerRecord, TowerSessionStore};
use crate::error::Error;
use crate::operations::{Import, ImportedSession};
use crate::web::WebStore;

/// What [`TowerSessionStore::import`] did with a record.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportOutcome {
    /// The record is a session of this store now.
    Imported,
    /// An earlier import took the record, or an earlier record of this call has the same id. The session may have ended
    /// since then, or have another id.
    AlreadyImported,
    /// The record has expired, by this machine's clock.
    Expired,
    /// This store cannot hold the record: for example [`Error::ValueTooLarge`] or [`Error::NotText`].
    Refused(Error),
}

impl<S: WebStore> TowerSessionStore<S> {
    /// Takes over sessions of another store for tower-sessions, with their ids. The visitors keep their cookies and
    /// stay signed in. Returns the outcome for each record, in the same order.
    ///
    /// All records are imported in one transaction, which `clear_all` waits for. So pass at most a thousand at a time.
    /// Their sessions begin now, and expire as the records would have, within the
    /// [longest lifetime](crate::Builder::max_lifetime). [`owner_from`](Self::owner_from) and
    /// [`label_from`](Self::label_from) give them their owners and labels. No limit of an owner counts.
    ///
    /// The table remembers each id until 30 days after the record's expiry. So you can import the same records again: a
    /// session that was ended in between does not come back. Stop the programs that use the other store first, and
    /// start those with this store afterwards. Otherwise a change or a logout in between is lost.
    ///
    /// The command `diesel-session import` reads the table of tower-sessions-sqlx-store and passes its records to this
    /// function.
    ///
    /// # Errors
    ///
    /// An error of the database. No record of this call was imported then.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "tower-sessions")] {
    /// use diesel_session::{Blocking, Error, ImportOutcome, MemorySession, TowerSessionStore};
    /// use time::{Duration, OffsetDateTime};
    /// use tower_sessions_core::session::{Id, Record};
    ///
    /// # async fn import() -> Result<(), Error> {
    /// let store = TowerSessionStore::new(Blocking::new(MemorySession::new(), 8)).owner_from("user_id");
    /// let record = Record {
    ///     id: Id::default(),
    ///     data: [("user_id".to_owned(), "alice".into())].into(),
    ///     expiry_date: OffsetDateTime::now_utc() + Duration::days(1),
    /// };
    /// let outcomes = store.import(&[record]).await?;
    /// assert!(matches!(outcomes[..], [ImportOutcome::Imported]));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(import()).unwrap();
    /// # }
    /// ```
    pub async fn import<R: TowerRecord>(&self, records: &[R]) -> Result<Vec<ImportOutcome>, Error> {
        let mut sessions = Vec::with_capacity(records.len());
        let mut outcomes = Vec::with_capacity(records.len());
        for record in records {
            let (id, data, expiry_date) = record.parts();
            outcomes.push(match self.imported(id, data, left(expiry_date)) {
                Ok(session) => {
                    sessions.push(session);
                    ImportOutcome::Imported
                }
                Err(outcome) => outcome,
            });
        }
        if sessions.is_empty() {
            return Ok(outcomes);
        }
        let are_new = self.adapter.store.execute(Import::new(sessions)).await?;
        let ready = outcomes.iter_mut().filter(|outcome| matches!(outcome, ImportOutcome::Imported));
        for (outcome, is_new) in ready.zip(are_new) {
            if !is_new {
                *outcome = ImportOutcome::AlreadyImported;
            }
        }
        Ok(outcomes)
    }

    fn imported(&self, id: i128, data: &Fields, left: TimeDelta) -> Result<ImportedSession, ImportOutcome> {
        if left <= TimeDelta::zero() {
            return Err(ImportOutcome::Expired);
        }
        let draft = self.adapter.draft(data, left).map_err(ImportOutcome::Refused)?;
        let options = self.adapter.store.options();
        ImportedSession::new(options, &key(id), draft, left).map_err(ImportOutcome::Refused)
    }
}
