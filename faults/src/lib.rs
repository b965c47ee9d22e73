//! Tests of what diesel-session keeps when things break.
//!
//! Client processes load a store. They write a record of each call, before and after it. At the same time, the test
//! breaks something: the server, a client, the disk. Then the ledger looks for everything that was acknowledged. It
//! knows only the record.

#![allow(clippy::missing_errors_doc, clippy::missing_panics_doc, reason = "every failure here fails a test")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on panics"))]

mod client;
mod clients;
mod event;
mod growth;
mod ledger;
mod load;
pub mod mariadb;
mod memory;
mod record;
mod report;
mod scene;
mod soak;
mod store;
mod target;
mod web;

pub use client::Orders;
pub use clients::Clients;
pub use report::Report;
pub use scene::DURABLE;
pub use soak::Soak;
pub use store::{Kind, Store};
pub use target::Target;
pub use web::Framework;
