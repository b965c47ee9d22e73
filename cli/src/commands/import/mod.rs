//! Takes over the sessions of another store.

use std::collections::BTreeMap;

use diesel_session::{Blocking, DieselSession, Error, ImportOutcome, TowerSessionStore};
use tokio::runtime::{self, Runtime};
use tower_sessions_core::session::Record;

use crate::arguments::{DatabaseArguments, Import};
use crate::failure::{Failure, line};
use crate::inspect::Inspect;
use crate::screen::{bar, count, say};

mod source;

use source::OldRow;

/// Records per transaction.
const BATCH: u16 = 200;

pub(crate) fn import<C: Inspect>(
    store: &DieselSession<C>,
    database: &DatabaseArguments,
    import: &Import,
) -> Result<(), Failure> {
    let mut source = source::open(database, import)?;
    let mut target = Target::new(store, import)?;
    let bar = bar("read", || source.count().ok())?;
    let mut report = Report::default();
    let mut after = String::new();
    let done = loop {
        let rows = match source.rows(&after, BATCH.into()) {
            Ok(rows) => rows,
            Err(failure) => break Err(failure),
        };
        let Some(last) = rows.last() else { break Ok(()) };
        after.clone_from(&last.id);
        let read = rows.len() as u64;
        if let Err(error) = target.import(rows, &mut report) {
            break Err(error.into());
        }
        bar.inc(read);
    };
    bar.finish_and_clear();
    done.map_err(|failure| report.with(failure))?;
    report.print()
}

/// The store that takes the sessions.
struct Target<C: Inspect> {
    store: TowerSessionStore<Blocking<DieselSession<C>>>,
    runtime: Runtime,
}

impl<C: Inspect> Target<C> {
    fn new(store: &DieselSession<C>, import: &Import) -> Result<Self, Failure> {
        let mut store = TowerSessionStore::new(Blocking::from(store.clone()));
        if let Some(field) = &import.owner_from {
            store = store.owner_from(field.as_str());
        }
        if let Some(field) = &import.label_from {
            store = store.label_from(field.as_str());
        }
        Ok(Self { store, runtime: runtime::Builder::new_current_thread().enable_time().build()? })
    }

    /// Imports a batch.
    fn import(&mut self, rows: Vec<OldRow>, report: &mut Report) -> Result<(), Error> {
        let mut records = Vec::with_capacity(rows.len());
        let mut skipped = Vec::new();
        for row in rows {
            match record(row) {
                Ok(record) => records.push(record),
                Err(reason) => skipped.push(reason),
            }
        }
        let outcomes = self.runtime.block_on(self.store.import(&records))?;
        for outcome in &outcomes {
            match reason(outcome) {
                None => report.imported += 1,
                Some(reason) => skipped.push(reason),
            }
        }
        for reason in skipped {
            *report.skipped.entry(reason).or_default() += 1;
        }
        Ok(())
    }
}

const TOO_LARGE: &str = "too large";
const UNDECODABLE: &str = "undecodable";

/// Decodes a record, or says why it is skipped. A visitor's cookie has the id of the row.
fn record(OldRow { id, data }: OldRow) -> Result<Record, &'static str> {
    let data = data.ok_or(TOO_LARGE)?;
    let record: Record = rmp_serde::from_slice(&data).map_err(|_| UNDECODABLE)?;
    Ok(Record { id: id.parse().map_err(|_| UNDECODABLE)?, ..record })
}

/// Returns the reason why a record was skipped, if it was.
fn reason(outcome: &ImportOutcome) -> Option<&'static str> {
    Some(match outcome {
        ImportOutcome::Imported => return None,
        ImportOutcome::AlreadyImported => "imported before",
        ImportOutcome::Expired => "expired",
        ImportOutcome::Refused(error) => match error {
            Error::ValueTooLarge { .. } => TOO_LARGE,
            Error::TooDeep { .. } => "nested too deep",
            Error::NotText { .. } => "the owner or the label is neither a text nor a number",
            Error::OwnerTooLong { .. } | Error::LabelTooLong { .. } => "the owner or the label is too long",
            _ => "the owner or the label has characters that it cannot have",
        },
        _ => "not imported",
    })
}

/// What was imported and what was skipped.
#[derive(Default)]
struct Report {
    imported: u64,
    /// So many, for each reason.
    skipped: BTreeMap<&'static str, u64>,
}

impl Report {
    fn print(&self) -> Result<(), Failure> {
        say(&format!("{} imported", count(self.imported, "session")))?;
        for (reason, records) in &self.skipped {
            say(&format!("{records} skipped: {reason}"))?;
        }
        Ok(())
    }

    /// Adds to a failure what was done before it.
    fn with(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Sessions(error) if self.imported > 0 => Failure::refused(format!(
                "{} imported, then the import failed ({}): run the command again, and it takes the rest",
                count(self.imported, "session"),
                line(&error),
            )),
            failure => failure,
        }
    }
}
