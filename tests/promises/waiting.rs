//! Asynchronous stores, waited for, so that the laws of `Now` and `Sessions` can be held against them.

use std::sync::LazyLock;

pub(crate) use diesel_session::testing::Waiting;
use tokio::runtime::Runtime;

/// Two threads, a clock, sockets, and as many blocking threads as are asked for.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// For the stores of all tests that only wait for them.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(runtime);

/// A store, waited for.
pub(crate) fn waiting<S>(store: S) -> Waiting<S> {
    Waiting::new(RUNTIME.handle().clone(), store)
}

/// A store that is made on the runtime, waited for.
pub(crate) fn made<S>(store: impl Future<Output = S>) -> Waiting<S> {
    waiting(RUNTIME.block_on(store))
}
