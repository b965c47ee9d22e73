//! Makes a blocking store asynchronous: its calls run on tokio's blocking threads.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::r2d2::ManageConnection;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::DieselSession;
use super::leaving::Leaving;
use crate::database::{SessionConnection, on_a_thread};
use crate::error::Error;
use crate::operations::{Execute, ExecuteAsync, Operation, Update, async_contracts};
use crate::options::Options;
use crate::retry::Source as _;
use crate::trace::task_in_this_span;

/// An asynchronous store made from a blocking one (feature `tokio`). Each call runs on another thread, usually one of
/// tokio's blocking threads, as in OCaml's `Lift.Thread_IO`.
///
/// It runs at most as many calls at once as the store can serve. For a [`DieselSession`] that is the size of its pool.
/// Other calls wait without a thread, and [`patience`](Self::patience) limits their wait. If a future is dropped before
/// its call began, the call does nothing. A call that began runs to its end and gives its connection back.
///
/// If a [`DieselSession`] bounds its calls ([`Builder::bounded_calls`](crate::Builder::bounded_calls)), the call's task
/// keeps the deadline. Then one of the store's helper threads waits for the database, and none of tokio's. Only
/// [`update`](crate::AsyncSessions::update) takes both, because `change` runs on tokio's.
///
/// It is cheap to clone if the store is. Clones share the limit.
///
/// # Panics
///
/// Its futures panic outside of a tokio runtime with time enabled. They also panic if they are polled after the runtime
/// has shut down.
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
    /// How long a call waits for its turn. `None` means that it waits without a limit.
    patience: Option<Duration>,
}

async_contracts!(Blocking<S>, S: Execute + Clone + Send + Sync + 'static);

impl<S> Blocking<S> {
    /// Wraps a store. At most `calls` calls run at once; zero means one. Other calls wait, by default without a limit:
    /// see [`patience`](Self::patience).
    pub fn new(store: S, calls: usize) -> Self {
        let calls = calls.clamp(1, Semaphore::MAX_PERMITS);
        Self { store, permits: Arc::new(Semaphore::new(calls)), patience: None }
    }

    /// Sets how long a call waits for its turn before it returns [`Error::PoolTimeout`]. A negative time counts as
    /// zero. `Blocking::from` a [`DieselSession`] sets the time that one of the store's calls may take.
    /// [`new`](Self::new) sets no limit.
    #[must_use]
    pub fn patience(mut self, limit: TimeDelta) -> Self {
        self.patience = Some(limit.to_std().unwrap_or(Duration::ZERO));
        self
    }

    /// Returns the wrapped store, for calls that block.
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
                let source = "the store already runs as many calls as it may run at once".into();
                Err(Error::PoolTimeout { waited: limit, source })
            }
        }
    }
}

/// Runs as many calls at once as the pool has connections.
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
    /// Runs a call when its turn comes. If this future is dropped then, another task finishes the call.
    async fn in_turn<T, E>(&self, call: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let permit = self.turn().await?;
        let call = Box::pin(task_in_this_span(async move {
            let _until_it_is_done = permit;
            call.await
        }));
        Leaving::new(call, |call| {
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(call);
            }
        })
        .await
    }
}

/// An operation that was refused does not wait for a turn. Within an update it would wait for itself.
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
        self.in_turn(self.store.run_for_a_task(operation)).await
    }

    async fn run_update<E, F>(&self, update: Result<Update, Error>, change: F) -> Result<String, E>
    where
        E: From<Error> + Send + 'static,
        F: FnMut(Option<String>) -> Result<String, E> + Send + 'static,
    {
        if update.is_err() {
            return self.store.run_update(update, change);
        }
        let store = self.store.clone();
        self.in_turn(on_a_thread(move || store.run_update(update, change))).await
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
