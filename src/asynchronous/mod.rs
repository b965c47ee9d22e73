//! Stores whose operations are futures: the contracts, the lift of any store that blocks, and the store that does not.

#[cfg(feature = "tokio")]
mod blocking;
mod now;
mod sessions;
#[cfg(feature = "diesel-async")]
mod store;

#[cfg(feature = "tokio")]
pub use blocking::Blocking;
pub use now::AsyncNow;
pub use sessions::AsyncSessions;
#[cfg(feature = "diesel-async")]
pub use store::{AsyncDieselSession, AsyncOnConnection, AsyncPool};
