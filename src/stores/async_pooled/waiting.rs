//! The wait for a connection, which can be left.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::AsyncPool;

type Connecting<P> =
    Pin<Box<dyn Future<Output = Result<<P as AsyncPool>::Connection, <P as AsyncPool>::Error>> + Send>>;

/// A connection that a pool is asked for. If nobody waits for it any more, the wait goes on in the background, and the pool
/// gets the connection: a caller may have less time than it takes to find, of several servers, the one that answers. Without
/// this no caller would ever get a connection then.
pub(super) struct Wanted<P: AsyncPool> {
    connecting: Option<Connecting<P>>,
    background: Background,
}

/// How many waits may go on, and for how long.
#[derive(Clone)]
pub(super) struct Background {
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Background {
    /// No more waits than the pool has connections.
    pub(super) fn of(pool: &impl AsyncPool, patience: Duration) -> Self {
        let places = usize::try_from(pool.size())
            .map_or(Semaphore::MAX_PERMITS, |size| size.min(Semaphore::MAX_PERMITS));
        Self { places: Arc::new(Semaphore::new(places)), patience }
    }
}

impl<P: AsyncPool> Wanted<P> {
    pub(super) fn of(pool: &P, background: &Background) -> Self {
        let pool = pool.clone();
        let connecting: Connecting<P> = Box::pin(async move { pool.connection().await });
        Self { connecting: Some(connecting), background: background.clone() }
    }
}

impl<P: AsyncPool> Future for Wanted<P> {
    type Output = Result<P::Connection, P::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // One that panics is not asked again.
        let Some(mut connecting) = self.connecting.take() else { return Poll::Pending };
        let connected = connecting.as_mut().poll(context);
        if connected.is_pending() {
            self.connecting = Some(connecting);
        }
        connected
    }
}

impl<P: AsyncPool> Drop for Wanted<P> {
    fn drop(&mut self) {
        let Some(connecting) = self.connecting.take() else { return };
        let place = Arc::clone(&self.background.places).try_acquire_owned();
        if let (Ok(place), Ok(runtime)) = (place, Handle::try_current()) {
            let patience = self.background.patience;
            runtime.spawn(async move {
                drop(timeout(patience, connecting).await);
                drop(place);
            });
        }
    }
}
