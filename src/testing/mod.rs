//! For tests, of this crate and of its users: a pool whose work is never committed, and the laws that
//! every store keeps.

pub mod conformance;
mod transaction;
