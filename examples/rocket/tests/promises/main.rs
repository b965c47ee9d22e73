//! What the shop promises, on a server that runs, over HTTP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod carts_and_orders;
mod cookies;
mod devices;
mod signing_in_and_out;
mod support;
