//! Adapters for web frameworks.

use std::fmt;

use crate::operations::AsyncSessions;

#[cfg(feature = "actix-session")]
pub(crate) mod actix_session;
pub(crate) mod adapter;
mod renewals;
#[cfg(feature = "tower-sessions")]
pub(crate) mod tower_sessions;

/// What becomes of a request's changes to a session that was deleted, or expired, since the request has loaded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnMissing {
    /// The save fails, and the middleware answers with an internal error: nothing is lost in silence.
    #[default]
    Error,
    /// They are discarded: a request that outlives a logout ends as if it had changed nothing. The middleware still sends
    /// the cookie of a dead session, over that of a login meanwhile.
    Discard,
}

/// A store that web frameworks' session layers can use: `AsyncDieselSession`, or [`Blocking`](crate::Blocking) over a
/// [`DieselSession`](crate::DieselSession). Other crates cannot implement it.
pub trait WebStore: AsyncSessions + Clone + fmt::Debug + Send + 'static {}

impl<S: AsyncSessions + Clone + fmt::Debug + Send + 'static> WebStore for S {}
