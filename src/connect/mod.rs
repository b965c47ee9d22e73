//! How connections are made and set up, one file a database.

#[cfg(feature = "postgres")]
mod conninfo;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
