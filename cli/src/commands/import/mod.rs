//! Takes over the sessions of another store.

use std::collections::BTreeMap;

use diesel_session::{Blocking, DieselSession, Error, ImportOutcome, TowerSessionStore};
use indicatif::ProgressBar;
use tokio::runtime::{self, Runtime};
use tower_sessions_core::session::Record;

use crate::arguments::{DatabaseArguments, Import};
use crate::failure::Failure;
use crate::inspect::Inspect;
use crate::screen::{bar, count, say};

mod source;

use source::{OldRow, Source};

/// Records per transaction.
const BATCH: u16 = 200;

pub(crate) fn import<C: Inspect>(
    store: &DieselSession<C>,
    database: &DatabaseArguments,
    import: &Import,
) -> Result<(), Failure> {
    // With the wrong form of keys, the program would find none of the sessions, and the markers would stay.
    store.check()?;
    let mut source = source::open(database, import)?;
    let mut importer = Importer::new(store, import)?;
    let bar = bar("read", || source.count().ok())?;
    let done = importer.import_all(&mut *source, &bar);
    bar.finish_and_clear();
    importer.report.print()?;
    done.map_err(|failure| {
        Failure::refused(format!("{failure}; the rest was not imported: run the command again for it"))
    })
}

/// Takes records over into a store.
struct Importer<C: Inspect> {
    store: TowerSessionStore<Blocking<DieselSession<C>>>,
    runtime: Runtime,
    report: Report,
}

impl<C: Inspect> Importer<C> {
    fn new(store: &DieselSession<C>, import: &Import) -> Result<Self, Failure> {
        let mut store = TowerSessionStore::new(Blocking::from(store.clone()));
        if let Some(field) = &import.owner_from {
            store = store.owner_from(field.as_str());
        }
        if let Some(field) = &import.label_from {
            store = store.label_from(field.as_str());
        }
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        Ok(Self { store, runtime, report: Report::default() })
    }

    fn import_all(&mut self, source: &mut dyn Source, bar: &ProgressBar) -> Result<(), Failure> {
        let mut after = String::new();
        loop {
            let rows = source.rows(&after, BATCH.into())?;
            let Some(last) = rows.last() else { return Ok(()) };
            after.clone_from(&last.id);
            let read = rows.len() as u64;
            self.import_rows(rows)?;
            bar.inc(read);
        }
    }

    fn import_rows(&mut self, rows: Vec<OldRow>) -> Result<(), Error> {
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            match record(row) {
                Ok(record) => records.push(record),
                Err(reason) => self.report.skip(reason),
            }
        }
        match self.import_records(&records) {
            // One of them may be the reason, so that it would stop each run.
            Err(Error::Database(_)) if records.len() > 1 => {
                records.chunks(1).try_for_each(|record| match self.import_records(record) {
                    Err(Error::Database(_)) => {
                        self.report.skip("the database refused it");
                        Ok(())
                    }
                    done => done,
                })
            }
            done => done,
        }
    }

    fn import_records(&mut self, records: &[Record]) -> Result<(), Error> {
        let outcomes = self.runtime.block_on(self.store.import(records))?;
        for outcome in &outcomes {
            match reason(outcome) {
                None => self.report.imported += 1,
                Some(reason) => self.report.skip(reason),
            }
        }
        Ok(())
    }
}

const EXPIRED: &str = "expired";
const TOO_LARGE: &str = "too large";
const UNDECODABLE: &str = "undecodable";

/// Decodes a record, or says why it is skipped. A visitor's cookie has the id of the row.
fn record(OldRow { id, has_expired, data }: OldRow) -> Result<Record, &'static str> {
    if has_expired {
        return Err(EXPIRED);
    }
    let data = data.ok_or(TOO_LARGE)?;
    let record: Record = rmp_serde::from_slice(&data).map_err(|_| UNDECODABLE)?;
    Ok(Record { id: id.parse().map_err(|_| UNDECODABLE)?, ..record })
}

/// Returns the reason why a record was skipped, if it was.
fn reason(outcome: &ImportOutcome) -> Option<&'static str> {
    Some(match outcome {
        ImportOutcome::Imported => return None,
        ImportOutcome::AlreadyImported => "imported before",
        ImportOutcome::Expired => EXPIRED,
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

/// How many records were imported, and how many were skipped, by reason.
#[derive(Default)]
struct Report {
    imported: u64,
    skipped: BTreeMap<&'static str, u64>,
}

impl Report {
    fn skip(&mut self, reason: &'static str) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    fn print(&self) -> Result<(), Failure> {
        say(&format!("{} imported", count(self.imported, "session")))?;
        for (reason, records) in &self.skipped {
            say(&format!("{records} skipped: {reason}"))?;
        }
        Ok(())
    }
}
