//! Limits how often a call is tried, and for how long.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Source;
use super::failure::Failure;
use crate::error::Error;

/// The attempts of one call.
pub(super) struct Attempts<'a, S> {
    source: &'a S,
    began: Instant,
    pub(super) deadline: Instant,
    /// How many more lost connections the call may replace. At worst every connection in the pool is lost, and the next
    /// one is new. It is known only after the first loss: most calls lose none, and a pool may have to lock something
    /// to tell its size.
    replacements: Option<u32>,
    /// The same for connections that take no writes, known only after the first one.
    others: Option<u32>,
    /// The error of the last lost connection.
    pub(super) lost: Option<diesel::result::Error>,
}

impl<'a, S: Source> Attempts<'a, S> {
    pub(super) fn of(source: &'a S) -> Self {
        let began = Instant::now();
        let deadline = began + source.call_timeout();
        Self { source, began, deadline, replacements: None, others: None, lost: None }
    }

    pub(super) async fn connection(&mut self) -> Result<S::Lease, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let conn = self.source.connection(left).await;
        conn.map_err(|error| match self.lost.take() {
            Some(lost) => self.source.without_another(lost, self.began),
            None => error,
        })
    }

    pub(super) fn in_time<R: Send + 'static>(
        &self,
        job: impl Future<Output = R> + Send + 'static,
    ) -> impl Future<Output = Result<R, Error>> {
        self.source.in_time(self.deadline, Box::pin(job))
    }

    /// Returns `Ok` if another attempt makes sense, and otherwise the error for the caller.
    pub(super) fn go_on_after(&mut self, failure: Failure) -> Result<(), Error> {
        let is_late = Instant::now() >= self.deadline;
        match failure {
            Failure::Lost(lost) => {
                let replacements = self.replacements.get_or_insert_with(|| self.source.size());
                if is_late || *replacements == 0 {
                    return Err(self.source.without_another(lost, self.began));
                }
                *replacements -= 1;
                self.lost = Some(lost);
                Ok(())
            }
            failure if is_late => Err(failure.into()),
            Failure::ReadOnly(source) => {
                let others = self.others.get_or_insert_with(|| {
                    let is_known = self.source.verdict().is_young();
                    // The pool no longer has this one. After the others, the next one is new.
                    if is_known { 0 } else { self.source.connections() + 1 }
                });
                if *others == 0 {
                    self.source.verdict().is_read_only();
                    return Err(Error::ReadOnly { source });
                }
                *others -= 1;
                Ok(())
            }
            Failure::Conflict(_) => Ok(()),
            failure => Err(failure.into()),
        }
    }
}

/// The time when all of a pool's connections were last found to take no writes. For a second after that, a call tries
/// only one connection. Otherwise each write would make the pool connect again and again to a server in trouble.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict(Arc<Mutex<Option<Instant>>>);

impl Verdict {
    const LASTS: Duration = Duration::from_secs(1);

    fn is_young(&self) -> bool {
        self.last().is_some_and(|since| since.elapsed() < Self::LASTS)
    }

    /// Records the verdict. It does not prolong a young verdict, so that every call may try again after a moment.
    fn is_read_only(&self) {
        if !self.is_young() {
            *self.last() = Some(Instant::now());
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
