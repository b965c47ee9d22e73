//! Calls that end in time whatever the server does.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::error::Error;
use crate::trace::in_this_span;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that wait for the database in the callers' stead.
///
/// libpq waits for an answer without end, and no setting of libpq, TCP or the server bounds the wait for a
/// process that is stopped while its machine still acknowledges. So a helper waits, and the caller can
/// leave it: it keeps the connection until the server answers or the connection breaks, and only then
/// serves again. There are about as many helpers as connections were ever in use at once.
#[derive(Clone, Default)]
pub(super) struct Helpers {
    idle: Arc<Mutex<Vec<Sender<Job>>>>,
}

impl Helpers {
    /// Runs `job` on a helper and returns its result, or `Error::ServerTimeout` at the deadline.
    pub(super) fn run<R: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Error> {
        let started = Instant::now();
        let idle = self.idle().pop();
        let helper = match idle {
            Some(helper) => helper,
            None => spawn()?,
        };
        let (done, outcome) = sync_channel(1);
        let (helpers, itself) = (self.clone(), helper.clone());
        let job = in_this_span(job);
        let sent = helper.send(Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(job));
            helpers.idle().push(itself);
            // Nobody listens where the caller has left.
            let _ = done.send(result);
        }));
        debug_assert!(sent.is_ok(), "a helper lives as long as somebody can send to it");
        match outcome.recv_timeout(deadline.saturating_duration_since(started)) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => resume_unwind(panic),
            // A helper that is gone without an answer is as silent as its server.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(Error::ServerTimeout { waited: started.elapsed() })
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Sender<Job>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A helper ends when the last sender to it is gone: with the store.
fn spawn() -> Result<Sender<Job>, Error> {
    let (sender, jobs) = channel::<Job>();
    thread::Builder::new()
        .name("diesel-session".to_owned())
        .spawn(move || jobs.into_iter().for_each(|job| job()))
        .map_err(|source| Error::System { what: "thread", source: source.into() })?;
    Ok(sender)
}
