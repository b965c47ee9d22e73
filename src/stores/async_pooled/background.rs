//! Continues to wait for a connection after the caller has left.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::AsyncPool;
use crate::stores::leaving::Leaving;

/// Limits how many such waits go on, and for how long.
#[derive(Clone)]
pub(super) struct Background {
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Background {
    /// Allows as many waits as the pool has connections.
    pub(super) fn of(pool: &impl AsyncPool, patience: Duration) -> Self {
        let places = usize::try_from(pool.size())
            .map_or(Semaphore::MAX_PERMITS, |size| size.min(Semaphore::MAX_PERMITS));
        Self { places: Arc::new(Semaphore::new(places)), patience }
    }

    /// Asks the pool for a connection. If the caller leaves, the wait goes on, and the pool gets the connection. A
    /// caller may have less time than it takes to find the one server of several that answers. Without this, no caller
    /// would ever get a connection then.
    pub(super) fn connection<P: AsyncPool>(
        &self,
        pool: &P,
    ) -> impl Future<Output = Result<P::Connection, P::Error>> {
        let pool = pool.clone();
        Leaving::new(Box::pin(async move { pool.connection().await }), |connecting| {
            let place = Arc::clone(&self.places).try_acquire_owned();
            if let (Ok(place), Ok(runtime)) = (place, Handle::try_current()) {
                let patience = self.patience;
                runtime.spawn(async move {
                    drop(timeout(patience, connecting).await);
                    drop(place);
                });
            }
        })
    }
}
