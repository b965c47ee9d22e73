//! scratch
#![cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "without a database, only its absence is explained"
    )
)]
mod backend;
mod connect;
mod error;
#[cfg(feature = "json")]
mod json;
mod key;
mod memory;
pub mod migrations;
mod now;
mod operations;
mod rules;
mod schema;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use backend::SessionConnection;
#[cfg(feature = "postgres")]
pub use connect::postgres::ConnectOptions;
pub use error::{Error, MigrationError};
#[cfg(feature = "json")]
pub use json::{Json, JsonError};
pub use key::{KeyStorage, SessionKey};
pub use memory::MemorySession;
pub use now::Now;
pub use store::{Builder, DieselSession, OnConnection};
