//! The pools of diesel-async's connections that a store takes.

use std::error::Error as StdError;
use std::future::Future;
use std::ops::DerefMut;

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool;

/// A pool of diesel-async's connections to PostgreSQL: deadpool's (feature `deadpool`), bb8's (`bb8`), mobc's (`mobc`), or
/// another by these methods.
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
    /// A connection that goes back to the pool when it is dropped. The pool must not lend it again if a
    /// transaction is open on it or its transaction manager is in error. Diesel-async's own support of pools
    /// sees to that: so a call that is dropped half way leaves nothing behind.
    type Connection: DerefMut<Target = AsyncPgConnection> + Send + Sync + 'static;

    /// Why there is none.
    type Error: StdError + Send + Sync + 'static;

    /// Lends a connection. The pool need not test it: the store replaces one that turns out to be broken.
    fn connection(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// The most connections that the pool holds.
    fn size(&self) -> u32;

    /// How many connections it holds now. If so many take no writes, the store expects the next one to be new. Defaults
    /// to [`size`](Self::size).
    fn connections(&self) -> u32 {
        self.size()
    }

    /// Closes a connection and takes it out of the pool. Its transaction manager is in error. By default it is dropped:
    /// enough for a pool that looks at connections when they come back.
    fn discard(conn: Self::Connection) {
        drop(conn);
    }

    /// Closes the idle connections, because the server behind them does not answer. By default nothing happens, and the
    /// store finds out about each connection by a call that ends without an answer.
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

    /// It looks at connections when it lends them: until then this one would stay open.
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

    use diesel_async::AsyncPgConnection;
    use diesel_async::pooled_connection::PoolError;
    use diesel_async::pooled_connection::mobc::{Pool, PooledConnection};
    use futures_util::FutureExt as _;
    use mobc::{Error, State};

    use super::AsyncPool;

    impl AsyncPool for Pool<AsyncPgConnection> {
        type Connection = PooledConnection<AsyncPgConnection>;
        type Error = Error<PoolError>;

        async fn connection(&self) -> Result<Self::Connection, Self::Error> {
            self.get().await
        }

        /// To mobc 0 is no limit.
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

    /// The pool's state, which waits for a lock that nobody holds while waiting for anything else.
    fn state(pool: &Pool<AsyncPgConnection>) -> State {
        loop {
            if let Some(state) = pool.state().now_or_never() {
                return state;
            }
            yield_now();
        }
    }
}
