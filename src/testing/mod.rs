//! Tools for tests, for this crate and for its users: a pool whose work is never committed, and the laws that every
//! store keeps.

#[cfg(feature = "diesel-async")]
mod async_transaction;
pub mod conformance;
#[cfg(test)]
mod tests;
mod transaction;
#[cfg(feature = "tokio")]
mod waiting;

#[cfg(feature = "tokio")]
pub use waiting::Waiting;

/// The error of every connection after the first.
const LOST: &str = "the test's connection was lost, and its transaction with it";
