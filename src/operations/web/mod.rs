//! The operations of web frameworks' stores that applications do not have.
//!
//! A framework renews a session by two calls: `Delete`, and later `Continue`. Between the two the session is parked: see
//! [`Tombstone`](crate::database::Tombstone). A session continues only if every request that deleted it has also
//! continued it, or was known to be a renewal. Otherwise one of them was a logout.

mod delete;
mod renew;
mod save;

pub(crate) use delete::{Delete, Nonce};
pub(crate) use renew::Continue;
pub use save::Conflicts;
pub(crate) use save::{Draft, Merge, Merged, Save};
