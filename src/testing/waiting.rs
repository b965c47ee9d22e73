//! Makes an asynchronous store block, so that the laws can test it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::channel;
use std::thread;

use tokio::runtime::Handle;

use crate::error::Error;
use crate::operations::{Execute, ExecuteAsync, Operation, Update, Updating, contracts};
use crate::options::Options;

/// An asynchronous store that blocks: each call waits for its future on a runtime (features `testing` and `tokio`). Its
/// calls panic inside of a runtime.
///
/// # Examples
///
/// ```
/// use diesel_session::testing::{Waiting, conformance};
/// use diesel_session::{Blocking, MemorySession};
///
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
/// let store = Waiting::new(runtime.handle().clone(), Blocking::new(MemorySession::new(), 8));
/// conformance::what_is_left_shrinks(&store)?;
/// # Ok::<(), diesel_session::Error>(())
/// ```
pub struct Waiting<S> {
    store: S,
    runtime: Handle,
}

contracts!(Waiting<S>, S: ExecuteAsync);

impl<S> Waiting<S> {
    /// Wraps a store whose futures run on this runtime.
    pub const fn new(runtime: Handle, store: S) -> Self {
        Self { store, runtime }
    }

    /// Returns the asynchronous store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Waits for any future on the runtime.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// The result of the caller's function.
enum Answer {
    Value(String),
    Refusal,
    Panic(Box<dyn Any + Send>),
}

/// The reason why an update failed: the store failed, or the caller's function refused.
enum Failure {
    Store(Error),
    Refusal,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl<S: ExecuteAsync> Execute for Waiting<S> {
    type Connection = S::Connection;
    type Reader = S::Reader;

    fn options(&self) -> &Options {
        self.store.options()
    }

    fn run<O>(&self, operation: Result<O, Error>) -> Result<O::Output, Error>
    where
        O: Operation<S::Connection> + 'static,
    {
        self.block_on(self.store.run(operation))
    }

    fn run_read<O, T>(&self, operation: Result<O, Error>) -> Result<T, Error>
    where
        O: Operation<S::Connection, Output = T> + Operation<S::Reader, Output = T> + 'static,
        T: Send + 'static,
    {
        self.block_on(self.store.run_read(operation))
    }

    /// The caller's function may borrow, and the store's function may not. So the caller's function runs on this
    /// thread. The store's function runs on another thread, and asks the first one for its answers.
    fn run_update<E: From<Error>>(
        &self,
        update: Result<Update, Error>,
        mut change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        const BOTH: &str = "both sides stay until the update is over";

        let (ask, asked) = channel();
        let (answer, answers) = channel();
        let change_there = move |value: Option<String>| {
            ask.send(value).expect(BOTH);
            match answers.recv().expect(BOTH) {
                Answer::Value(value) => Ok(value),
                Answer::Refusal => Err(Failure::Refusal),
                Answer::Panic(panic) => resume_unwind(panic),
            }
        };
        let mut refusal = None;
        let updated = thread::scope(|scope| {
            let updating = scope.spawn(|| self.block_on(self.store.run_update(update, change_there)));
            for value in asked {
                let _until_it_returns = Updating::begin(self.options());
                let answered = match catch_unwind(AssertUnwindSafe(|| change(value))) {
                    Ok(Ok(value)) => Answer::Value(value),
                    Ok(Err(error)) => {
                        refusal = Some(error);
                        Answer::Refusal
                    }
                    Err(panic) => Answer::Panic(panic),
                };
                answer.send(answered).expect(BOTH);
            }
            updating.join()
        });
        match updated {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Failure::Store(error))) => Err(error.into()),
            Ok(Err(Failure::Refusal)) => Err(refusal.expect("the caller's function has refused")),
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Waiting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("store", &self.store).finish_non_exhaustive()
    }
}
