//! What diesel-session keeps when things break.
//!
//! Clients in processes of their own load a store and write a record of each call, before and after it. Something is
//! broken meanwhile: the server, a client, the disk. Then the ledger, which knows the record and nothing else, looks for
//! everything that was acknowledged.

#![allow(clippy::missing_errors_doc, clippy::missing_panics_doc, reason = "whatever fails here fails a test")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on panics"))]

mod client;
mod clients;
mod event;
mod ledger;
mod load;
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
