//! Sessions on MariaDB.

mod admin;
mod clock;
mod connect;
mod expressions;
pub(crate) mod migrate;
mod owners;
mod queries;
mod run_query;
mod saves;
mod table;
mod tombstones;
mod transaction;
