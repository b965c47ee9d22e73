//! The stores. Each one knows how to get a connection, and `contracts!` implements its operations.

#[cfg(feature = "diesel-async")]
mod async_on_connection;
#[cfg(feature = "diesel-async")]
mod async_pooled;
#[cfg(feature = "tokio")]
mod blocking;
#[cfg(feature = "tokio")]
mod leaving;
mod memory;
mod on_connection;
mod pooled;

#[cfg(feature = "diesel-async")]
pub use async_on_connection::AsyncOnConnection;
#[cfg(feature = "diesel-async")]
pub use async_pooled::{AsyncBuilder, AsyncDieselSession, AsyncPool};
#[cfg(feature = "tokio")]
pub use blocking::Blocking;
pub use memory::MemorySession;
pub use on_connection::OnConnection;
pub use pooled::DieselSession;
