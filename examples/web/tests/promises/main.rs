//! Tests of the application: they run the program and use it over HTTP and in a browser.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod accounts;
mod answers;
mod bad_input;
mod browser;
mod devices;
mod logins;
mod sessions;
mod support;
