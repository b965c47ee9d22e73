//! Blocking access to asynchronous stores, so that the laws of `Now` and `Sessions` apply to them.

use std::sync::LazyLock;

pub(crate) use diesel_session::testing::Waiting;
use tokio::runtime::Runtime;

/// Makes a runtime with two threads, timers and sockets. It starts as many blocking threads as are asked for.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The runtime for the tests that only wait for their stores.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(runtime);

/// Wraps a store so that a test waits for its calls.
pub(crate) fn waiting<S>(store: S) -> Waiting<S> {
    Waiting::new(RUNTIME.handle().clone(), store)
}

/// Makes a store on the runtime, and wraps it so that a test waits for its calls.
pub(crate) fn made<S>(store: impl Future<Output = S>) -> Waiting<S> {
    waiting(RUNTIME.block_on(store))
}
