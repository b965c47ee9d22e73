//! A store that blocks in asynchronous programs: on tokio's threads for what blocks.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::r2d2::ManageConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::DieselSession;
use crate::database::SessionConnection;
use crate::error::Error;
use crate::operations::{Execute, ExecuteAsync, Operation, Update, async_contracts};
use crate::options::Options;
use crate::retry::Source as _;
use crate::trace::in_this_span;

/// A store for asynchronous programs, out of one that blocks: each call runs on tokio's blocking threads, as
/// OCaml's `Lift.Thread_IO` did (feature `tokio`).
///
/// As many calls run at once as the store can serve, for a [`DieselSession`] as its pool has connections; the rest
/// waits without a thread, and not for ever ([`patience`](Self::patience)). A future that is dropped before its call
/// began does nothing; a call that began goes on to its end, whoever waits for it, and gives its connection back.
///
/// Cheap to clone where the store is; clones share their bound.
///
/// # Panics
///
/// Its futures panic outside of a tokio runtime with time enabled, and in one that shuts down before their call began.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use diesel::sqlite::SqliteConnection;
/// use diesel_session::{AsyncNow, Blocking, DieselSession, Error};
///
/// async fn serve() -> Result<(), Error> {
///     let store = DieselSession::<SqliteConnection>::connect(":memory:")?;
///     store.migrate()?;
///     let sessions = Blocking::from(store);
///
///     let key = sessions.generate(Some("cart=3"), None).await?;
///     assert_eq!(sessions.get(&key).await?.0, "cart=3");
///     Ok(())
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(serve())?;
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Clone)]
pub struct Blocking<S> {
    store: S,
    permits: Arc<Semaphore>,
    /// How long a call waits for its turn.
    patience: Option<Duration>,
}

async_contracts!(Blocking<S>, S: Execute + Clone + Send + Sync + 'static);

impl<S> Blocking<S> {
    /// Lifts a store, of which at most `calls` calls run at once, and at least one. The rest waits, by default without a
    /// limit: see [`patience`](Self::patience).
    pub fn new(store: S, calls: usize) -> Self {
        let calls = calls.clamp(1, Semaphore::MAX_PERMITS);
        Self { store, permits: Arc::new(Semaphore::new(calls)), patience: None }
    }

    /// How long a call waits for its turn before it returns [`Error::PoolTimeout`]; a negative time is no time. Over a
    /// [`DieselSession`] the default is the time that one of its calls may take.
    #[must_use]
    pub fn patience(mut self, limit: TimeDelta) -> Self {
        self.patience = Some(limit.to_std().unwrap_or(Duration::ZERO));
        self
    }

    /// The store beneath, for calls that block.
    pub const fn store(&self) -> &S {
        &self.store
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        const OPEN: &str = "nobody ever closes the semaphore";

        let turn = Arc::clone(&self.permits).acquire_owned();
        let Some(limit) = self.patience else { return Ok(turn.await.expect(OPEN)) };
        match timeout(limit, turn).await {
            Ok(turn) => Ok(turn.expect(OPEN)),
            Err(_elapsed) => {
                let source = "as many calls as the store serves at once are under way".into();
                Err(Error::PoolTimeout { waited: limit, source })
            }
        }
    }
}

/// As many calls run at once as the pool has connections.
impl<C, M> From<DieselSession<C, M>> for Blocking<DieselSession<C, M>>
where
    C: SessionConnection,
    M: ManageConnection<Connection = C>,
{
    fn from(store: DieselSession<C, M>) -> Self {
        let (connections, limit) = (store.pool().max_size(), store.call_timeout());
        Self { patience: Some(limit), ..Self::new(store, connections as usize) }
    }
}

impl<S: Execute + Clone + Send + Sync + 'static> Blocking<S> {
    async fn on_a_thread<T, E>(&self, work: impl FnOnce(&S) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let store = self.store.clone();
        let work = in_this_span(move || work(&store));
        let permit = self.turn().await?;
        let call = spawn_blocking(move || {
            let _until_it_is_done = permit;
            work()
        });
        match call.await {
            Ok(done) => done,
            // Or it was not begun, because the runtime shuts down: then this panics itself.
            Err(panicked) => resume_unwind(panicked.into_panic()),
        }
    }
}

/// An operation that was refused waits for no turn: within an update it would wait for itself.
impl<S: Execute + Clone + Send + Sync + 'static> ExecuteAsync for Blocking<S> {
    type Connection = S::Connection;
    type Reader = S::Reader;

    fn options(&self) -> &Options {
        self.store.options()
    }

    async fn run<O>(&self, operation: Result<O, Error>) -> Result<O::Output, Error>
    where
        O: Operation<S::Connection> + 'static,
    {
        if operation.is_err() {
            return self.store.run(operation);
        }
        self.on_a_thread(move |store| store.run(operation)).await
    }

    async fn run_read<O, T>(&self, operation: Result<O, Error>) -> Result<T, Error>
    where
        O: Operation<S::Connection, Output = T> + Operation<S::Reader, Output = T> + 'static,
        T: Send + 'static,
    {
        if operation.is_err() {
            return self.store.run_read(operation);
        }
        self.on_a_thread(move |store| store.run_read(operation)).await
    }

    async fn run_update<E, F>(&self, update: Result<Update, Error>, change: F) -> Result<String, E>
    where
        E: From<Error> + Send + 'static,
        F: FnMut(Option<String>) -> Result<String, E> + Send + 'static,
    {
        if update.is_err() {
            return self.store.run_update(update, change);
        }
        self.on_a_thread(move |store| store.run_update(update, change)).await
    }
}

impl<S: fmt::Debug> fmt::Debug for Blocking<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("store", &self.store)
            .field("free", &self.permits.available_permits())
            .finish_non_exhaustive()
    }
}
