//! The store in the process's memory.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::database::now_or_never;
use crate::error::Error;
use crate::key::KeyStorage;
use crate::memory::Table;
use crate::operations::{Execute, Operation, Update, contracts};
use crate::options::Options;
use crate::retry::{run_on, update_on};

/// A store in this process's memory, which ends with the process. It is for tests, and for programs that need no more.
///
/// It keeps the laws and the limits of the database stores. Its clock is the process's monotonic clock. Clones share
/// their sessions. An expired session stays in memory until it is [deleted](crate::Sessions::delete_expired).
///
/// # Examples
///
/// ```
/// use diesel_session::{MemorySession, Now};
///
/// let sessions = MemorySession::new();
/// let key = sessions.generate(None, None)?;
/// sessions.set(&key, "theme=dark", None)?;
/// assert_eq!(sessions.get(&key)?.0, "theme=dark");
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Clone)]
pub struct MemorySession {
    options: Arc<Options>,
    table: Arc<Mutex<Table>>,
}

contracts!(MemorySession);

impl MemorySession {
    /// Makes an empty store with the default options: a period of one week, and values of at most 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(Options::default())
    }

    /// Makes an empty store with other options, from [`Builder::options`](crate::Builder::options). It ignores the key
    /// storage, because no backup shows this process's memory.
    #[must_use]
    pub fn with_options(mut options: Options) -> Self {
        options.table.key_storage = KeyStorage::Plain;
        Self { options: Arc::new(options), table: Arc::default() }
    }

    /// A panic elsewhere leaves the table consistent, because the table changes only after everything that may panic.
    fn table(&self) -> Ready<Result<MutexGuard<'_, Table>, Error>> {
        ready(Ok(self.table.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Default for MemorySession {
    fn default() -> Self {
        Self::new()
    }
}

impl Execute for MemorySession {
    type Connection = Table;
    type Reader = Table;

    fn options(&self) -> &Options {
        &self.options
    }

    fn run<O: Operation<Table>>(&self, operation: Result<O, Error>) -> Result<O::Output, Error> {
        now_or_never(run_on(|| self.table(), operation))
    }

    fn run_update<E: From<Error>>(
        &self,
        update: Result<Update, Error>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        now_or_never(update_on(|| self.table(), &self.options, update, change))
    }
}

impl fmt::Debug for MemorySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySession").finish_non_exhaustive()
    }
}
