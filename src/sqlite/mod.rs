//! Sessions on SQLite.

mod admin;
mod builder;
mod clock;
mod connect;
mod expressions;
pub(crate) mod migrate;
mod owners;
mod queries;
mod saves;
pub(crate) mod table;
mod tombstones;

pub use builder::Synchronous;
