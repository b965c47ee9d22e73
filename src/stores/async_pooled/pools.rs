//! The pools of diesel-async connections that a store accepts.

use std::error::Error as StdError;
use std::future::Future;
use std::ops::DerefMut;

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool;

/// A pool of diesel-async connections to PostgreSQL. It is implemented for the pools of deadpool (feature `deadpool`),
/// bb8 (`bb8`) and mobc (`mobc`). You can implement it for other pools.
///
/// # Examples
///
/// ```
/// use diesel_async::AsyncPgConnection;
/// use diesel_async::pooled_connection::deadpool::{Object, Pool, PoolError};
/// use diesel_session::AsyncPool;
///
/// #[derive(Clone)]
/// struct Watched(Pool<AsyncPgConnection>);
///
/// impl AsyncPool for Watched {
///     type Connection = Object<AsyncPgConnection>;
///     type Error = PoolError;
///
///     async fn connection(&self) -> Result<Self::Connection, PoolError> {
///         println!("{} connections", self.0.status().size);
///         self.0.get().await
///     }
///
///     fn size(&self) -> u32 {
///         AsyncPool::size(&self.0)
///     }
/// }
/// ```
pub trait AsyncPool: Clone + Send + Sync + 'static {
    /// A connection that goes back to the pool when it is dropped. If a transaction is open on it, or its transaction
    /// manager is in error, the pool must not lend it again, neither to the store nor to others.
    type Connection: DerefMut<Target = AsyncPgConnection> + Send + Sync + 'static;

    /// The pool's error if it cannot lend a connection.
    type Error: StdError + Send + Sync + 'static;

    /// Lends a connection. The pool need not test it, because the store replaces broken connections.
    fn connection(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Returns the largest number of connections that the pool holds.
    fn size(&self) -> u32;

    /// Returns how many connections the pool holds now. If that many take no writes, the store expects the next one to
    /// be new. Defaults to [`size`](Self::size).
    fn connections(&self) -> u32 {
        self.size()
    }

    /// Closes a connection and takes it out of the pool. The connection's transaction manager is in error, or has an
    /// open transaction. By default it only drops the connection. That is enough for a pool that checks each connection
    /// when it comes back.
    fn discard(conn: Self::Connection) {
        drop(conn);
    }

    /// Closes the idle connections, because their server does not answer. By default it does nothing. Then each of
    /// these connections is lost only when a call on it gets no answer.
    fn discard_idle(&self) {}
}

impl AsyncPool for deadpool::Pool<AsyncPgConnection> {
    type Connection = deadpool::Object<AsyncPgConnection>;
    type Error = deadpool::PoolError;

    async fn connection(&self) -> Result<Self::Connection, Self::Error> {
        self.get().await
    }

    fn size(&self) -> u32 {
        u32::try_from(self.status().max_size).unwrap_or(u32::MAX)
    }

    fn connections(&self) -> u32 {
        u32::try_from(self.status().size).unwrap_or(u32::MAX)
    }

    /// deadpool checks connections only when it lends them, so a dropped one would stay open until then.
    fn discard(conn: Self::Connection) {
        drop(deadpool::Object::take(conn));
    }

    fn discard_idle(&self) {
        drop(self.retain(|_, _| false));
    }
}

#[cfg(feature = "bb8")]
mod bb8 {
    use diesel_async::AsyncPgConnection;
    use diesel_async::pooled_connection::bb8::{Pool, PooledConnection, RunError};

    use super::AsyncPool;

    impl AsyncPool for Pool<AsyncPgConnection> {
        type Connection = PooledConnection<'static, AsyncPgConnection>;
        type Error = RunError;

        async fn connection(&self) -> Result<Self::Connection, RunError> {
            self.get_owned().await
        }

        fn size(&self) -> u32 {
            self.config().max_size
        }

        fn connections(&self) -> u32 {
            self.state().connections
        }
    }
}

#[cfg(feature = "mobc")]
mod mobc {
    use std::thread::yield_now;

    use diesel_async::pooled_connection::PoolError;
    use diesel_async::pooled_connection::mobc::{Pool, PooledConnection};
    use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager as _};
    use futures_util::FutureExt as _;
    use mobc::{Error, State};

    use super::AsyncPool;

    impl AsyncPool for Pool<AsyncPgConnection> {
        type Connection = PooledConnection<AsyncPgConnection>;
        type Error = Error<PoolError>;

        /// Discards broken connections, because diesel-async 0.9.2 makes mobc keep them and close all others.
        async fn connection(&self) -> Result<Self::Connection, Self::Error> {
            loop {
                let mut conn = self.get().await?;
                if !AnsiTransactionManager::is_broken_transaction_manager(&mut *conn) {
                    return Ok(conn);
                }
                Self::discard(conn);
            }
        }

        fn discard(conn: Self::Connection) {
            drop(conn.into_inner());
        }

        /// In mobc, 0 means no limit.
        fn size(&self) -> u32 {
            match u32::try_from(state(self).max_open) {
                Ok(0) | Err(_) => u32::MAX,
                Ok(size) => size,
            }
        }

        fn connections(&self) -> u32 {
            u32::try_from(state(self).connections).unwrap_or(u32::MAX)
        }
    }

    /// Returns the pool's state. It polls for the lock. That ends soon, because no holder of the lock waits for
    /// anything.
    fn state(pool: &Pool<AsyncPgConnection>) -> State {
        loop {
            if let Some(state) = pool.state().now_or_never() {
                return state;
            }
            yield_now();
        }
    }
}
