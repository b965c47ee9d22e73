//! Takes over the sessions of another store for tower-sessions.

use chrono::TimeDelta;

use super::calls::{Fields, key, left};
use super::{TowerRecord, TowerSessionStore};
use crate::error::Error;
use crate::operations::{Arrival, Import};
use crate::web::WebStore;

/// What [`TowerSessionStore::import`] did with a record.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportOutcome {
    /// The record is a session of this store now.
    Imported,
    /// An earlier import took the record. The session may have ended since then, or have another id.
    AlreadyImported,
    /// The record has expired, by this machine's clock.
    Expired,
    /// This store cannot hold the record: for example [`Error::ValueTooLarge`] or [`Error::NotText`].
    Refused(Error),
}

impl<S: WebStore> TowerSessionStore<S> {
    /// Takes over sessions of another store for tower-sessions, with their ids. The visitors keep their cookies and stay
    /// signed in. Returns the outcome for each record, in the same order.
    ///
    /// All records are imported in one transaction, so pass some hundreds at a time. Their sessions begin now, and expire
    /// as the records would have. [`owner_from`](Self::owner_from) and [`label_from`](Self::label_from) give them their owners
    /// and labels. No limit of an owner counts.
    ///
    /// The table remembers each id for a day longer than the record lives. So you can import the same records again: a
    /// session that was ended in between does not come back. A record that another program changes after its import is
    /// not imported again. So stop the programs that write to the other store first.
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
        let mut arrivals = Vec::with_capacity(records.len());
        let mut outcomes = Vec::with_capacity(records.len());
        for record in records {
            let (id, data, expiry_date) = record.parts();
            outcomes.push(match self.arrival(id, data, left(expiry_date)) {
                Ok(arrival) => {
                    arrivals.push(arrival);
                    ImportOutcome::Imported
                }
                Err(outcome) => outcome,
            });
        }
        if arrivals.is_empty() {
            return Ok(outcomes);
        }
        let are_new = self.adapter.store.execute(Ok(Import::new(arrivals))).await?;
        let ready = outcomes.iter_mut().filter(|outcome| matches!(outcome, ImportOutcome::Imported));
        for (outcome, is_new) in ready.zip(are_new) {
            if !is_new {
                *outcome = ImportOutcome::AlreadyImported;
            }
        }
        Ok(outcomes)
    }

    fn arrival(&self, id: i128, data: &Fields, left: TimeDelta) -> Result<Arrival, ImportOutcome> {
        if left <= TimeDelta::zero() {
            return Err(ImportOutcome::Expired);
        }
        let draft = self.adapter.draft(data, left).map_err(ImportOutcome::Refused)?;
        let options = self.adapter.store.options();
        Arrival::new(options, &key(id), draft, left).map_err(ImportOutcome::Refused)
    }
}
