//! The operations of the stores for web frameworks. Applications do not have them.
//!
//! A framework renews a session by two calls: a delete, and later [`Continue`]. Between the two the session is parked:
//! see [`Tombstone`](crate::database::Tombstone). A session continues only if every request that deleted it has also
//! continued it, or was known to be a renewal. Otherwise one of them was a logout.

mod delete;
#[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
mod import;
mod nonce;
mod renew;
mod save;

#[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
pub(crate) use delete::EndOrPark;
#[cfg(feature = "actix-session")]
pub(crate) use delete::Park;
#[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
pub(crate) use import::{Import, ImportedSession};
pub(crate) use nonce::Nonce;
pub(crate) use renew::Continue;
pub use save::Conflicts;
pub(crate) use save::{Draft, Merge, Merged, Save};
