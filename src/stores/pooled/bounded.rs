//! Ends calls in time, even if the server does not answer.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::database::Remote;
use crate::error::Error;
use crate::options::Builder;
use crate::trace::in_this_span;

impl<C: Remote, M> Builder<C, M> {
    /// Sets whether every call ends in time, even if the server does not answer. Such a call returns
    /// [`Error::ServerTimeout`] after the connection timeout and the statement timeout together. Defaults to `true`.
    ///
    /// The databases' client libraries wait without a time limit for a server process that is stopped, or stuck in its
    /// kernel. So a second thread waits instead, which costs two thread switches per call. In one measurement on
    /// PostgreSQL over a Unix socket, that was about an eighth of the throughput of one thread. With eight threads on
    /// two cores it was a third. A store in `Blocking` does not pay for it, except in `update`.
    ///
    /// With `false`, the server still ends slow statements. On PostgreSQL, `tcp_user_timeout` still ends calls to
    /// machines that are gone. On MariaDB such a call waits until the operating system gives up the connection, which
    /// can take two hours.
    pub fn bounded_calls(mut self, bounded: bool) -> Self {
        self.pool.bounded_calls = bounded;
        self
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Threads that wait for the database in place of the callers.
///
/// libpq and libmariadb wait for an answer without a time limit. A server process can be stopped while its machine still
/// acknowledges packets. Then no setting of the library, TCP or the server limits the wait. So a helper waits, and the
/// caller can leave it. The helper keeps the connection until the server answers or the connection breaks. Only then does
/// it serve other calls. There are about as many helpers as connections were ever in use at once.
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
        let (done, outcome) = sync_channel(1);
        self.send(job, move |result| drop(done.send(result)))?;
        told(outcome.recv_timeout(deadline.saturating_duration_since(started)).ok(), started)
    }

    /// Does the same for a task. The task waits, and no thread does except the helper.
    #[cfg(feature = "tokio")]
    pub(super) async fn run_for_a_task<R: Send + 'static>(
        &self,
        deadline: Instant,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Error> {
        let started = Instant::now();
        let (done, outcome) = tokio::sync::oneshot::channel();
        self.send(job, move |result| drop(done.send(result)))?;
        let outcome = tokio::time::timeout(deadline.saturating_duration_since(started), outcome).await;
        told(outcome.ok().and_then(Result::ok), started)
    }

    /// Runs `job` on a helper, which then calls `answer`. If the caller has left, nothing receives the answer.
    fn send<R: 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
        answer: impl FnOnce(thread::Result<R>) + Send + 'static,
    ) -> Result<(), Error> {
        let idle = self.idle().pop();
        let helper = match idle {
            Some(helper) => helper,
            None => spawn()?,
        };
        let (helpers, itself) = (self.clone(), helper.clone());
        let job = in_this_span(job);
        let sent = helper.send(Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(job));
            helpers.idle().push(itself);
            answer(result);
        }));
        debug_assert!(sent.is_ok(), "a helper lives as long as somebody can send to it");
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Sender<Job>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the result of a job for its caller, who has waited since `started`. A helper that is gone without an answer
/// counts as a silent server.
fn told<R>(outcome: Option<thread::Result<R>>, started: Instant) -> Result<R, Error> {
    match outcome {
        Some(Ok(result)) => Ok(result),
        Some(Err(panic)) => resume_unwind(panic),
        None => Err(Error::ServerTimeout { waited: started.elapsed() }),
    }
}

/// Starts a helper. It ends when the last sender to it is gone, which is when the store is gone.
fn spawn() -> Result<Sender<Job>, Error> {
    let (sender, jobs) = channel::<Job>();
    thread::Builder::new()
        .name("diesel-session".to_owned())
        .spawn(move || jobs.into_iter().for_each(|job| job()))
        .map_err(|source| Error::System { what: "thread", source: source.into() })?;
    Ok(sender)
}
