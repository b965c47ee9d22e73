//! Deletes expired sessions in the background.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::error::Error;
#[cfg(feature = "tokio")]
use crate::operations::AsyncSessions;
use crate::sessions::Sessions;

/// The longest interval, and the longest jitter.
const LONGEST: TimeDelta = TimeDelta::days(30);

/// How long a drop waits for the current batch.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sessions per DELETE, unless the builder sets another number.
pub(crate) const BATCH: u32 = 200;

/// After each batch the sweeper pauses for this many times as long as the batch took. That leaves the processors and
/// the disk to others. In the comparison of `docs/benchmarks` the slowest gets stayed as fast as without a sweeper.
pub(crate) const PAUSE: u32 = 3;

/// A thread that deletes expired sessions again and again, until you drop it.
///
/// It deletes small batches with pauses until none is left, and then waits for the interval. It reports a failure of
/// the store and tries again after the interval, so it survives a restart of the database. Any number of machines may
/// run one sweeper each: the jitter keeps them apart. After a drop, it stops when its current batch ends. The drop
/// waits for that for at most one second. A batch that takes longer ends by itself.
///
/// # Examples
///
/// ```
/// use diesel_session::{MemorySession, Sweeper, TimeDelta};
///
/// let sessions = MemorySession::new();
/// let sweeper = Sweeper::builder(sessions.clone())
///     .interval(TimeDelta::minutes(10))
///     .on_error(|error| eprintln!("expired sessions stay for now: {error}"))
///     .start()?;
/// // Keep it for as long as the application serves.
/// drop(sweeper);
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "it stops when it is dropped"]
pub struct Sweeper {
    /// Dropped first, which tells the thread to stop.
    stop: Option<Sender<()>>,
    stopped: Mutex<Receiver<()>>,
}

type Report = Box<dyn FnMut(&Error) + Send>;

/// Settings for a [`Sweeper`]. Each one has a default.
#[must_use]
pub struct SweeperBuilder {
    /// Deletes a batch of at most this many sessions.
    delete: Box<dyn FnMut(u32) -> Result<usize, Error> + Send>,
    interval: TimeDelta,
    jitter: TimeDelta,
    batch: u32,
    on_batch: Box<dyn FnMut(usize) + Send>,
    on_error: Report,
}

impl Sweeper {
    /// Returns the settings for a sweeper of this store.
    pub fn builder<S: Sessions + Send + 'static>(store: S) -> SweeperBuilder {
        SweeperBuilder::new(move |sessions| store.delete_expired(sessions))
    }

    /// Returns the settings for a sweeper of an asynchronous store. The sweeper still has its own thread, which waits
    /// for the store's futures on the current runtime. Drop the sweeper before the runtime. Otherwise its thread
    /// panics.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    #[cfg(feature = "tokio")]
    pub fn builder_async<S: AsyncSessions + Send + 'static>(store: S) -> SweeperBuilder {
        let runtime = tokio::runtime::Handle::current();
        SweeperBuilder::new(move |sessions| runtime.block_on(store.delete_expired(sessions)))
    }
}

impl SweeperBuilder {
    fn new(delete: impl FnMut(u32) -> Result<usize, Error> + Send + 'static) -> Self {
        Self {
            delete: Box::new(delete),
            interval: TimeDelta::minutes(5),
            jitter: TimeDelta::seconds(30),
            batch: BATCH,
            on_batch: Box::new(|_| {}),
            on_error: Box::new(|_| {}),
        }
    }

    /// Sets how long the sweeper waits after a sweep, and after a failure. Defaults to five minutes.
    pub fn interval(mut self, interval: TimeDelta) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the longest random time that the sweeper waits in addition. So several machines do not sweep at once.
    /// Defaults to half a minute.
    pub fn jitter(mut self, jitter: TimeDelta) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets how many sessions one statement deletes at most. Defaults to 200.
    pub fn batch(mut self, sessions: u32) -> Self {
        self.batch = sessions;
        self
    }

    /// Sets a function that the sweeper calls after each batch, on its thread, with the number of sessions that the batch
    /// deleted. Zero is the end of a sweep. Defaults to none. The function must not panic, because that would end the
    /// sweeper.
    pub fn on_batch(mut self, report: impl FnMut(usize) + Send + 'static) -> Self {
        self.on_batch = Box::new(report);
        self
    }

    /// Sets a function that the sweeper calls with each failure, on its thread. Defaults to none. With the feature
    /// `tracing` each failure is also an event. The function must not panic, because that would end the sweeper.
    pub fn on_error(mut self, report: impl FnMut(&Error) + Send + 'static) -> Self {
        self.on_error = Box::new(report);
        self
    }

    /// Starts the sweeper. The first sweep comes after a random part of the jitter.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if the interval or the batch is zero, if the interval or the jitter is negative, or if
    /// one of these two is more than 30 days. [`Error::System`] if the operating system gives no thread.
    pub fn start(self) -> Result<Sweeper, Error> {
        let refuse = |setting, reason: &str| Err(Error::Configuration { setting, reason: reason.to_owned() });
        if self.interval <= TimeDelta::zero() || self.interval > LONGEST {
            return refuse("interval", "more than zero, and at most 30 days");
        }
        if self.jitter < TimeDelta::zero() || self.jitter > LONGEST {
            return refuse("jitter", "zero or more, and at most 30 days");
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
        let interval = self.interval.to_std().unwrap_or_default();
        let mut wait = self.by_chance();
        while goes_on_after(wait, stopping) {
            let started = Instant::now();
            let deleted = (self.delete)(self.batch);
            let took = started.elapsed();
            if let Ok(sessions) = deleted {
                (self.on_batch)(sessions);
            }
            wait = match deleted {
                Ok(0) => interval + self.by_chance(),
                Ok(_) => took * PAUSE,
                Err(error) => {
                    #[cfg(feature = "tracing")]
                    tracing::warn!(%error, "expired sessions could not be deleted");
                    (self.on_error)(&error);
                    interval + self.by_chance()
                }
            };
        }
    }

    /// Returns a random time from zero to the jitter.
    fn by_chance(&self) -> Duration {
        // Without a random number, it adds nothing to the interval.
        let random = SysRng.try_next_u32().unwrap_or(0);
        self.jitter.to_std().unwrap_or_default().mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

/// Waits, and returns whether the whole time has passed. If not, the sweeper was dropped.
fn goes_on_after(wait: Duration, stopping: &Receiver<()>) -> bool {
    stopping.recv_timeout(wait) == Err(RecvTimeoutError::Timeout)
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The thread sends nothing. It ends in time, or the drop leaves it to end by itself.
        let stopped = self.stopped.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ended_or_not = stopped.recv_timeout(PATIENCE);
    }
}

impl fmt::Debug for SweeperBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweeperBuilder")
            .field("interval", &self.interval)
            .field("jitter", &self.jitter)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
