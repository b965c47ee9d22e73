//! Stores for the session layers of web frameworks.

use std::fmt;

use crate::operations::AsyncSessions;

#[cfg(feature = "actix-session")]
pub(crate) mod actix_session;
mod adapter;
mod data;
mod source;
#[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
pub(crate) mod tower_sessions;

pub use source::TextSource;

/// The result of a save or a renewal if the session is gone: it was deleted or has expired since the request loaded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnMissing {
    /// The save fails, and the middleware answers with an internal error. No change is lost silently.
    #[default]
    Error,
    /// The store discards the changes silently. The middleware still sends the cookie of a dead session, which replaces
    /// the cookie of a login that another request made in between.
    Discard,
}

/// A store that the session layers of web frameworks can use: `AsyncDieselSession`, or a
/// [`DieselSession`](crate::DieselSession) in [`Blocking`](crate::Blocking). Other crates cannot implement it.
pub trait WebStore: AsyncSessions + Clone + fmt::Debug + Send + 'static {}

impl<S: AsyncSessions + Clone + fmt::Debug + Send + 'static> WebStore for S {}
