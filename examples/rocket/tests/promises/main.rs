//! Tests of the shop: they run the server and send requests over HTTP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod carts_and_orders;
mod cookies;
mod devices;
mod signing_in_and_out;
mod support;
