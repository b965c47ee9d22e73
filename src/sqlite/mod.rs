//! Sessions on SQLite.

mod builder;
mod clock;
mod connect;
mod expressions;
pub(crate) mod migrate;
mod owners;
mod queries;
pub(crate) mod table;

pub use builder::Synchronous;
