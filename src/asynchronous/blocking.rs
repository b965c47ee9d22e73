//! Any store of `Now` in asynchronous programs: on tokio's threads for what blocks.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{AsyncNow, AsyncSessions};
use crate::backend::SessionConnection;
use crate::calls::Source as _;
use crate::error::Error;
use crate::now::Now;
use crate::owner::{OwnedSession, SessionCount, SessionHandle};
use crate::sessions::Sessions;
use crate::store::DieselSession;
use crate::trace::in_this_span;

/// A store for asynchronous programs, out of one that blocks: each call runs on tokio's blocking threads, as
/// OCaml's `Lift.Thread_IO` did for any `Now` (feature `tokio`).
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
///     let key = sessions.generate(Some("cart=3".to_owned()), None).await?;
///     assert_eq!(sessions.get(&key).await?.0, "cart=3");
///     Ok(())
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(serve())?;
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
pub struct Blocking<S: Now> {
    store: S,
    permits: Arc<Semaphore>,
    patience: Option<Patience<S::Error>>,
}

/// How long a call waits for its turn, and what becomes of it then.
struct Patience<E> {
    limit: Duration,
    late: fn(Duration) -> E,
}

impl<S: Now> Blocking<S> {
    /// Lifts a store, of which at most `calls` run at once; at least one. The rest waits without a limit, but for
    /// [`patience`](Self::patience).
    pub fn new(store: S, calls: usize) -> Self {
        let calls = calls.clamp(1, Semaphore::MAX_PERMITS);
        Self { store, permits: Arc::new(Semaphore::new(calls)), patience: None }
    }

    /// How long a call waits for its turn, and the error after so long a wait. Over a [`DieselSession`] it is as
    /// long as one of its calls may take, and [`Error::PoolTimeout`].
    #[must_use]
    pub fn patience(mut self, limit: Duration, late: fn(Duration) -> S::Error) -> Self {
        self.patience = Some(Patience { limit, late });
        self
    }

    /// The store beneath, for calls that block.
    pub const fn store(&self) -> &S {
        &self.store
    }
}

/// As many calls run at once as the pool has connections.
impl<C: SessionConnection> From<DieselSession<C>> for Blocking<DieselSession<C>> {
    fn from(store: DieselSession<C>) -> Self {
        let (connections, limit) = (store.pool().max_size(), store.call_timeout());
        Self::new(store, connections as usize).patience(limit, |waited| {
            let source = "all of the pool's connections are in use".into();
            Error::PoolTimeout { waited, source }
        })
    }
}

impl<S: Now + Clone + Send + 'static> Blocking<S> {
    pub(crate) async fn run<T, E>(
        &self,
        work: impl FnOnce(&S) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<S::Error> + Send + 'static,
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
            // Or it was not begun, since the runtime shuts down: then this panics itself.
            Err(panicked) => resume_unwind(panicked.into_panic()),
        }
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, S::Error> {
        const OPEN: &str = "nobody ever closes the semaphore";

        let turn = Arc::clone(&self.permits).acquire_owned();
        let Some(Patience { limit, late }) = &self.patience else { return Ok(turn.await.expect(OPEN)) };
        match timeout(*limit, turn).await {
            Ok(turn) => Ok(turn.expect(OPEN)),
            Err(_elapsed) => Err(late(*limit)),
        }
    }
}

impl<S> AsyncNow for Blocking<S>
where
    S: Now + Clone + Send + Sync + 'static,
    S::Key: Clone + Send + Sync + 'static,
    S::Value: Send + 'static,
    S::Period: Send + 'static,
{
    type Key = S::Key;
    type Value = S::Value;
    type Period = S::Period;
    type Error = S::Error;

    fn default_period(&self) -> S::Period {
        self.store.default_period()
    }

    fn set_default_period(&self, period: S::Period) -> Result<(), S::Error> {
        self.store.set_default_period(period)
    }

    async fn generate(&self, value: Option<S::Value>, expiry: Option<S::Period>) -> Result<S::Key, S::Error> {
        self.run(move |store| store.generate(value, expiry)).await
    }

    async fn clear(&self, key: &S::Key) -> Result<(), S::Error> {
        let key = key.clone();
        self.run(move |store| store.clear(&key)).await
    }

    async fn get(&self, key: &S::Key) -> Result<(S::Value, S::Period), S::Error> {
        let key = key.clone();
        self.run(move |store| store.get(&key)).await
    }

    async fn set(&self, key: &S::Key, value: S::Value, expiry: Option<S::Period>) -> Result<(), S::Error> {
        let key = key.clone();
        self.run(move |store| store.set(&key, value, expiry)).await
    }
}

impl<S> AsyncSessions for Blocking<S>
where
    S: Sessions + Clone + Send + Sync + 'static,
    S::Key: Clone + Send + Sync + 'static,
    S::Value: Send + 'static,
    S::Period: Send + 'static,
{
    async fn rotate(&self, key: &S::Key) -> Result<S::Key, S::Error> {
        let key = key.clone();
        self.run(move |store| store.rotate(&key)).await
    }

    async fn touch(&self, key: &S::Key, expiry: Option<S::Period>) -> Result<bool, S::Error> {
        let key = key.clone();
        self.run(move |store| store.touch(&key, expiry)).await
    }

    async fn update<E>(
        &self,
        key: &S::Key,
        expiry: Option<S::Period>,
        change: impl FnMut(Option<S::Value>) -> Result<S::Value, E> + Send + 'static,
    ) -> Result<S::Value, E>
    where
        E: From<S::Error> + Send + 'static,
    {
        let key = key.clone();
        self.run(move |store| store.update(&key, expiry, change)).await
    }

    async fn replace(
        &self,
        key: &S::Key,
        expected: Option<S::Value>,
        new: S::Value,
        expiry: Option<S::Period>,
    ) -> Result<(), S::Error> {
        let key = key.clone();
        self.run(move |store| store.replace(&key, expected, new, expiry)).await
    }

    async fn generate_for(
        &self,
        owner: &str,
        value: Option<S::Value>,
        expiry: Option<S::Period>,
    ) -> Result<S::Key, S::Error> {
        let owner = owner.to_owned();
        self.run(move |store| store.generate_for(&owner, value, expiry)).await
    }

    async fn bind(&self, key: &S::Key, owner: &str) -> Result<(), S::Error> {
        let (key, owner) = (key.clone(), owner.to_owned());
        self.run(move |store| store.bind(&key, &owner)).await
    }

    async fn owner_of(&self, key: &S::Key) -> Result<Option<String>, S::Error> {
        let key = key.clone();
        self.run(move |store| store.owner_of(&key)).await
    }

    async fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, S::Error> {
        let owner = owner.to_owned();
        self.run(move |store| store.sessions_of(&owner, limit)).await
    }

    fn handle(&self, key: &S::Key) -> SessionHandle {
        self.store.handle(key)
    }

    async fn clear_owner(&self, owner: &str, keep: Option<&S::Key>) -> Result<usize, S::Error> {
        let (owner, keep) = (owner.to_owned(), keep.cloned());
        self.run(move |store| store.clear_owner(&owner, keep.as_ref())).await
    }

    async fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, S::Error> {
        let (owner, handle) = (owner.to_owned(), *handle);
        self.run(move |store| store.clear_listed(&owner, &handle)).await
    }

    async fn count(&self) -> Result<SessionCount, S::Error> {
        self.run(Sessions::count).await
    }

    async fn delete_expired(&self, limit: u32) -> Result<usize, S::Error> {
        self.run(move |store| store.delete_expired(limit)).await
    }
}

impl<S: Now + Clone> Clone for Blocking<S> {
    fn clone(&self) -> Self {
        let patience =
            self.patience.as_ref().map(|Patience { limit, late }| Patience { limit: *limit, late: *late });
        Self { store: self.store.clone(), permits: Arc::clone(&self.permits), patience }
    }
}

impl<S: Now + fmt::Debug> fmt::Debug for Blocking<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("store", &self.store)
            .field("free", &self.permits.available_permits())
            .finish_non_exhaustive()
    }
}
