//! Expired sessions, deleted in the background.

use std::error::Error as StdError;
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rand::TryRng as _;
use rand::rngs::SysRng;

#[cfg(feature = "tokio")]
use crate::asynchronous::AsyncSessions;
use crate::error::Error;
use crate::sessions::Sessions;

/// The longest interval and jitter.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long a drop waits for a batch that is under way.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sessions to one DELETE, unless set otherwise.
pub(crate) const BATCH: u32 = 200;

/// After each batch a pause of so many times what it took: others have the processors and the disk meanwhile.
/// In the comparison of `docs/benchmarks` the slowest gets stayed as fast as without a sweeper.
pub(crate) const PAUSE: u32 = 3;

/// A thread that deletes expired sessions again and again, until it is dropped.
///
/// It deletes in small batches with pauses, until none is left, and then waits for the interval. A store that fails
/// is reported, and tried again after the interval: the sweeper survives a restart of the database. Any number of
/// machines may run one each; the jitter keeps them apart. Dropped, it stops at once, or after the batch that is
/// under way, but within a second: a batch that takes longer, since the database does not answer, ends by itself.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use diesel_session::{MemorySession, Sweeper};
///
/// let sessions = MemorySession::new();
/// let sweeper = Sweeper::builder(sessions.clone())
///     .interval(Duration::from_secs(600))
///     .on_error(|error| eprintln!("expired sessions stay for now: {error}"))
///     .start()?;
/// // As long as the application serves.
/// drop(sweeper);
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "it stops when it is dropped"]
pub struct Sweeper {
    /// Dropped first: that is the signal.
    stop: Option<Sender<()>>,
    stopped: Mutex<Receiver<()>>,
}

type Report<E> = Box<dyn FnMut(&E) + Send>;

/// Settings for a [`Sweeper`]; each has a default.
#[must_use]
pub struct SweeperBuilder<E> {
    /// Deletes a batch of at most so many sessions.
    delete: Box<dyn FnMut(u32) -> Result<usize, E> + Send>,
    interval: Duration,
    jitter: Duration,
    batch: u32,
    on_error: Report<E>,
}

impl Sweeper {
    /// Settings for a sweeper of this store.
    pub fn builder<S: Sessions + Send + 'static>(store: S) -> SweeperBuilder<S::Error> {
        SweeperBuilder::new(move |sessions| store.delete_expired(sessions))
    }

    /// Settings for a sweeper of a store that does not block: it has a thread all the same, and waits there for what
    /// the runtime does. Drop it before the runtime, which would end its thread by a panic.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[cfg(feature = "tokio")]
    pub fn builder_async<S: AsyncSessions + Send + 'static>(store: S) -> SweeperBuilder<S::Error> {
        let runtime = tokio::runtime::Handle::current();
        SweeperBuilder::new(move |sessions| runtime.block_on(store.delete_expired(sessions)))
    }
}

impl<E: StdError + 'static> SweeperBuilder<E> {
    fn new(delete: impl FnMut(u32) -> Result<usize, E> + Send + 'static) -> Self {
        Self {
            delete: Box::new(delete),
            interval: Duration::from_secs(5 * 60),
            jitter: Duration::from_secs(30),
            batch: BATCH,
            on_error: Box::new(|_| {}),
        }
    }

    /// How long it waits after a sweep, and after a failure. Defaults to five minutes.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How much longer it waits at most, by chance, so that several machines do not sweep at once. Defaults to half a
    /// minute.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// How many sessions are deleted by one statement, at most. Defaults to 200.
    pub fn batch(mut self, sessions: u32) -> Self {
        self.batch = sessions;
        self
    }

    /// What is told of each failure, on the sweeper's thread; with the feature `tracing` each is an event besides.
    /// Defaults to nothing. It must not panic: that would end the sweeper.
    pub fn on_error(mut self, report: impl FnMut(&E) + Send + 'static) -> Self {
        self.on_error = Box::new(report);
        self
    }

    /// Starts it. The first sweep comes at once, but for the jitter.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for an interval or a batch of zero, and for an interval or a jitter of more than 30
    /// days; [`Error::System`] where there is no thread to be had.
    pub fn start(self) -> Result<Sweeper, Error> {
        let refuse = |setting, reason: &str| Err(Error::Configuration { setting, reason: reason.to_owned() });
        if self.interval.is_zero() || self.interval > LONGEST {
            return refuse("interval", "more than nothing, and at most 30 days");
        }
        if self.jitter > LONGEST {
            return refuse("jitter", "at most 30 days");
        }
        if self.batch == 0 {
            return refuse("batch", "at least one session");
        }
        let (stop, stopping) = channel();
        let (ending, stopped) = channel();
        thread::Builder::new()
            .name("diesel-session sweeper".to_owned())
            .spawn(move || {
                self.run(&stopping);
                drop(ending);
            })
            .map_err(|source| Error::System { what: "thread", source: source.into() })?;
        Ok(Sweeper { stop: Some(stop), stopped: Mutex::new(stopped) })
    }

    fn run(mut self, stopping: &Receiver<()>) {
        let mut wait = self.by_chance();
        while goes_on_after(wait, stopping) {
            let started = Instant::now();
            wait = match (self.delete)(self.batch) {
                Ok(0) => self.interval + self.by_chance(),
                Ok(_) => started.elapsed() * PAUSE,
                Err(error) => {
                    #[cfg(feature = "tracing")]
                    tracing::warn!(%error, "expired sessions could not be deleted");
                    (self.on_error)(&error);
                    self.interval + self.by_chance()
                }
            };
        }
    }

    /// Between nothing and the jitter.
    fn by_chance(&self) -> Duration {
        // Without chance it waits no longer than it must.
        let random = SysRng.try_next_u32().unwrap_or(0);
        self.jitter.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

/// Waits, and says whether that was all.
fn goes_on_after(wait: Duration, stopping: &Receiver<()>) -> bool {
    stopping.recv_timeout(wait) == Err(RecvTimeoutError::Timeout)
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It sends nothing: either it ends in time, or it is left to end by itself.
        let stopped = self.stopped.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ended_or_not = stopped.recv_timeout(PATIENCE);
    }
}

impl<E> fmt::Debug for SweeperBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweeperBuilder")
            .field("interval", &self.interval)
            .field("jitter", &self.jitter)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
