//! Stores that run any operation. Such a store has every operation of [`Now`](crate::Now) and
//! [`Sessions`](crate::Sessions), or of their asynchronous twins.

use std::future::Future;

use super::{Operation, Update, outside_of_updates};
#[cfg(feature = "tokio")]
use crate::database::on_a_thread;
use crate::database::{AdminQueries, OwnerQueries, SaveQueries, Transactions};
use crate::error::Error;
use crate::options::Options;

/// A store that blocks.
///
/// A store implements the methods `run..`. All callers use the other methods, which refuse calls from within an update.
pub trait Execute {
    /// The connection that its operations run on.
    type Connection: SaveQueries + AdminQueries + Transactions;

    /// The connection that its reads run on, if it is another one.
    type Reader: OwnerQueries;

    /// Returns the store's options. Their address identifies the store, because its clones share them.
    fn options(&self) -> &Options;

    /// Runs an operation. If the operation was refused when it was made, returns that error.
    fn run<O>(&self, operation: Result<O, Error>) -> Result<O::Output, Error>
    where
        O: Operation<Self::Connection> + 'static;

    /// Runs an operation that only reads.
    fn run_read<O, T>(&self, operation: Result<O, Error>) -> Result<T, Error>
    where
        O: Operation<Self::Connection, Output = T> + Operation<Self::Reader, Output = T> + 'static,
        T: Send + 'static,
    {
        self.run(operation)
    }

    /// Runs an operation for a task, which must not block.
    #[cfg(feature = "tokio")]
    fn run_for_a_task<O>(
        &self,
        operation: Result<O, Error>,
    ) -> impl Future<Output = Result<O::Output, Error>> + Send + 'static
    where
        Self: Clone + Send + Sync + 'static,
        O: Operation<Self::Connection> + 'static,
    {
        let store = self.clone();
        on_a_thread(move || store.run(operation))
    }

    /// Updates a session with the caller's function.
    fn run_update<E: From<Error>>(
        &self,
        update: Result<Update, Error>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E>;

    /// Runs an operation.
    fn execute<O>(&self, operation: Result<O, Error>) -> Result<O::Output, Error>
    where
        O: Operation<Self::Connection> + 'static,
    {
        self.run(outside_of_updates(self.options()).and(operation))
    }

    /// Runs an operation that only reads.
    fn read<O, T>(&self, operation: O) -> Result<T, Error>
    where
        O: Operation<Self::Connection, Output = T> + Operation<Self::Reader, Output = T> + 'static,
        T: Send + 'static,
    {
        self.run_read(outside_of_updates(self.options()).map(|()| operation))
    }

    /// Updates a session with the caller's function.
    fn execute_update<E: From<Error>>(
        &self,
        update: Result<Update, Error>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        self.run_update(outside_of_updates(self.options()).and(update), change)
    }
}

macro_rules! forward_to_pointee {
    ($pointer:ty) => {
        impl<S: Execute> Execute for $pointer {
            type Connection = S::Connection;
            type Reader = S::Reader;

            fn options(&self) -> &Options {
                (**self).options()
            }

            fn run<O>(&self, operation: Result<O, Error>) -> Result<O::Output, Error>
            where
                O: Operation<S::Connection> + 'static,
            {
                (**self).run(operation)
            }

            fn run_read<O, T>(&self, operation: Result<O, Error>) -> Result<T, Error>
            where
                O: Operation<S::Connection, Output = T> + Operation<S::Reader, Output = T> + 'static,
                T: Send + 'static,
            {
                (**self).run_read(operation)
            }

            fn run_update<E: From<Error>>(
                &self,
                update: Result<Update, Error>,
                change: impl FnMut(Option<String>) -> Result<String, E>,
            ) -> Result<String, E> {
                (**self).run_update(update, change)
            }
        }
    };
}

forward_to_pointee!(&S);
forward_to_pointee!(Box<S>);
forward_to_pointee!(std::sync::Arc<S>);

/// An asynchronous store: the twin of [`Execute`].
pub trait ExecuteAsync: Sync {
    /// The connection that its operations run on.
    type Connection: SaveQueries + AdminQueries + Transactions;

    /// The connection that its reads run on, if it is another one.
    type Reader: OwnerQueries;

    /// Returns the store's options. Their address identifies the store, because its clones share them.
    fn options(&self) -> &Options;

    /// Runs an operation. If the operation was refused when it was made, returns that error.
    fn run<O>(&self, operation: Result<O, Error>) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation<Self::Connection> + 'static;

    /// Runs an operation that only reads.
    fn run_read<O, T>(&self, operation: Result<O, Error>) -> impl Future<Output = Result<T, Error>> + Send
    where
        O: Operation<Self::Connection, Output = T> + Operation<Self::Reader, Output = T> + 'static,
        T: Send + 'static,
    {
        self.run(operation)
    }

    /// Updates a session with the caller's function.
    fn run_update<E, F>(
        &self,
        update: Result<Update, Error>,
        change: F,
    ) -> impl Future<Output = Result<String, E>> + Send
    where
        E: From<Error> + Send + 'static,
        F: FnMut(Option<String>) -> Result<String, E> + Send + 'static;

    /// Runs an operation.
    fn execute<O>(&self, operation: Result<O, Error>) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation<Self::Connection> + 'static,
    {
        async move { self.run(outside_of_updates(self.options()).and(operation)).await }
    }

    /// Runs an operation that only reads.
    fn read<O, T>(&self, operation: O) -> impl Future<Output = Result<T, Error>> + Send
    where
        O: Operation<Self::Connection, Output = T> + Operation<Self::Reader, Output = T> + 'static,
        T: Send + 'static,
    {
        async move { self.run_read(outside_of_updates(self.options()).map(|()| operation)).await }
    }

    /// Updates a session with the caller's function.
    fn execute_update<E, F>(
        &self,
        update: Result<Update, Error>,
        change: F,
    ) -> impl Future<Output = Result<String, E>> + Send
    where
        E: From<Error> + Send + 'static,
        F: FnMut(Option<String>) -> Result<String, E> + Send + 'static,
    {
        async move { self.run_update(outside_of_updates(self.options()).and(update), change).await }
    }
}
