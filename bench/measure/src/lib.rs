//! One sample of the comparison: some clients run an operation at the same time, each with its own stopwatch.
//!
//! The contenders of `diesel-session-bench` use it, and so does the program of the one contender that needs another
//! SQLite.

#![allow(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]
#![allow(clippy::missing_errors_doc, reason = "it is for two programs that show every error and end")]

pub mod tasks;
pub mod tower_sessions;

use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// How the program of another SQLite begins. It reads this as a line of JSON, and then prints an empty line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Beginning {
    /// A file that does not exist yet.
    pub file: PathBuf,
    /// How many sessions it shall have.
    pub rows: usize,
    /// The value of each session.
    pub value: String,
}

/// What that program then does for each line that it reads. It answers with a line: a [`Sample`].
pub type Request = (Operation, usize, Amount);

/// The operation that a client repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Reads a session.
    Get,
    /// Writes a session.
    Set,
    /// Nine `get` for each `set`.
    Mixed,
    /// Creates a session.
    Generate,
    /// Of the sessions that the last `Generate` made.
    Clear,
    /// A request: it loads a session, changes a field and saves. The other operations save sessions that no request has
    /// loaded.
    Visit,
    /// Changes a session with a function of its value.
    Update,
    /// All clients update one session.
    UpdateOne,
}

impl Operation {
    /// Returns the name for tables and plots.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Mixed => "mixed",
            Self::Generate => "generate",
            Self::Clear => "clear",
            Self::Visit => "load and save",
            Self::Update => "update",
            Self::UpdateOne => "update one session",
        }
    }

    /// Returns the next operation. For a mix, this is either a `get` or a `set`.
    #[must_use]
    pub fn next(self, random: &mut fastrand::Rng) -> Self {
        match self {
            Self::Mixed if random.usize(..10) == 0 => Self::Set,
            Self::Mixed => Self::Get,
            operation => operation,
        }
    }
}

/// How long each client runs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Amount {
    /// After a warm-up, which does not count.
    Time(Duration),
    /// So many operations of each client.
    Operations(usize),
}

/// How long every session lives. No session expires during a measurement.
pub const PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// The pragmas that `diesel-session` sets, for each connection to SQLite.
pub const SQLITE_PRAGMAS: &str =
    "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL";

/// The time until threads, connections and the server's processes are warm.
const WARM_UP: Duration = Duration::from_millis(500);

/// One client's times.
#[derive(Debug)]
pub struct Stopwatch {
    amount: Amount,
    /// Operations that end before this do not count.
    warm: Instant,
    /// When the first counted operation began.
    begun: Instant,
    last: Instant,
    nanoseconds: Vec<u64>,
    uncounted: usize,
}

impl Stopwatch {
    /// Starts the warm-up.
    #[must_use]
    pub fn start(amount: Amount) -> Self {
        let now = Instant::now();
        let warm = match amount {
            Amount::Time(_) => now + WARM_UP,
            Amount::Operations(_) => now,
        };
        let nanoseconds = Vec::with_capacity(1 << 16);
        Self { amount, warm, begun: now, last: now, nanoseconds, uncounted: 0 }
    }

    /// Returns whether the client has more to do.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        match self.amount {
            Amount::Time(time) => self.last < self.warm + time,
            Amount::Operations(operations) => self.nanoseconds.len() < operations,
        }
    }

    /// Returns the number of counted operations so far.
    #[must_use]
    pub fn laps(&self) -> usize {
        self.nanoseconds.len()
    }

    /// Returns the time from the end of the warm-up to the end of the last operation.
    fn time(&self) -> Duration {
        self.last.saturating_duration_since(self.warm)
    }

    /// Returns how many operations ended within `time` after the warm-up.
    fn laps_within(&self, time: Duration) -> usize {
        let end = (self.warm + time).saturating_duration_since(self.begun).as_nanos();
        let ends = self.nanoseconds.iter().scan(0, |sum, nanoseconds| {
            *sum += u128::from(*nanoseconds);
            Some(*sum)
        });
        ends.take_while(|ended| *ended <= end).count()
    }

    /// Notes that an operation has ended.
    pub fn lap(&mut self) {
        let now = Instant::now();
        if now < self.warm {
            self.uncounted += 1;
            self.begun = now;
        } else {
            self.nanoseconds.push(u64::try_from((now - self.last).as_nanos()).unwrap_or(u64::MAX));
        }
        self.last = now;
    }
}

/// Returns the lowest and the highest value.
#[must_use]
pub fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lowest, highest), value| {
        (lowest.min(*value), highest.max(*value))
    })
}

/// The result of one round of one contender.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    /// How many operations the latencies are from.
    pub operations: usize,
    /// Of all clients together, until the first of them is done.
    pub operations_per_second: f64,
    /// Of a single operation, in microseconds.
    pub latency_p50: f64,
    /// The same at the 99th percentile.
    pub latency_p99: f64,
    /// Processor time of the client side, in microseconds per operation.
    pub client_cpu: f64,
}

impl Sample {
    /// Computes a sample from the clients' stopwatches and their processor time in microseconds.
    pub fn new(clients: Vec<Stopwatch>, cpu: f64) -> Result<Self> {
        let time = clients.iter().map(Stopwatch::time).min().unwrap_or_default();
        let together: usize = clients.iter().map(|client| client.laps_within(time)).sum();
        let operations_per_second = together as f64 / time.as_secs_f64();
        let uncounted: usize = clients.iter().map(|client| client.uncounted).sum();
        let mut nanoseconds: Vec<u64> = clients.into_iter().flat_map(|client| client.nanoseconds).collect();
        nanoseconds.sort_unstable();
        let operations = nanoseconds.len();
        Ok(Self {
            operations,
            operations_per_second,
            latency_p50: percentile(&nanoseconds, 50)? / 1e3,
            latency_p99: percentile(&nanoseconds, 99)? / 1e3,
            client_cpu: cpu / (operations + uncounted) as f64,
        })
    }
}

/// Runs `client` on `clients` threads that start together. Returns the sample and each call's result.
pub fn on_threads<T: Send>(
    clients: usize,
    amount: Amount,
    client: impl Fn(usize, &mut Stopwatch) -> Result<T> + Sync,
) -> Result<(Sample, Vec<T>)> {
    // Before anything else: a failure after the threads start would leave them waiting at the barrier.
    let before = processor_time(UsageWho::RUSAGE_SELF)?;
    let start = Barrier::new(clients);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|number| {
                let (start, client) = (&start, &client);
                scope.spawn(move || {
                    start.wait();
                    let mut watch = Stopwatch::start(amount);
                    client(number, &mut watch).map(|made| (watch, made))
                })
            })
            .collect();
        let ended: Result<Vec<(Stopwatch, T)>> = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?)
            .collect();
        let (watches, made) = ended?.into_iter().unzip();
        Ok((Sample::new(watches, processor_time(UsageWho::RUSAGE_SELF)? - before)?, made))
    })
}

/// Returns the user and system time so far in microseconds, of this process or of its children that have ended.
pub fn processor_time(who: UsageWho) -> Result<f64> {
    let usage: Usage = getrusage(who)?;
    let times = [usage.user_time(), usage.system_time()];
    Ok(times.iter().map(|time| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64).sum())
}

/// Returns a percentile of sorted values by the nearest rank.
pub fn percentile(sorted: &[u64], percent: usize) -> Result<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(|value| *value as f64).ok_or_else(|| anyhow!("nothing was measured"))
}

/// Returns the middle value, or the mean of the two middle values.
pub fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle) {
        Some(upper) if values.len() % 2 == 1 => Ok(*upper),
        Some(upper) => Ok(f64::midpoint(values[middle - 1], *upper)),
        None => Err(anyhow!("the median of nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 50).ok(), Some(50.0));
        assert_eq!(percentile(&hundred, 99).ok(), Some(99.0));
        assert_eq!(percentile(&[7], 99).ok(), Some(7.0));
        assert!(percentile(&[], 50).is_err());
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).ok(), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]).ok(), Some(2.5));
        assert!(median(Vec::new()).is_err());
    }

    /// A client that waited for a lock and then ran must not count as if it had run all the time.
    #[test]
    fn a_client_that_waited_counts_from_the_warm_up_on() {
        let begun = Instant::now();
        let seconds = Duration::from_secs;
        let mut watch = Stopwatch::start(Amount::Time(seconds(1)));
        (watch.begun, watch.warm, watch.last) = (begun, begun + seconds(2), begun + seconds(12));
        watch.nanoseconds = vec![11_000_000_000, 500_000_000, 500_000_000];
        assert_eq!(watch.time(), seconds(10));
        assert_eq!([8, 9, 10].map(|time| watch.laps_within(seconds(time))), [0, 1, 3]);
    }

    #[test]
    fn a_sample_counts_the_operations_of_every_client() {
        let (sample, made) = on_threads(3, Amount::Operations(5), |client, watch| {
            while watch.goes_on() {
                watch.lap();
            }
            Ok(client)
        })
        .expect("nothing fails");
        assert_eq!(sample.operations, 15);
        assert_eq!(made, [0, 1, 2]);
    }
}
