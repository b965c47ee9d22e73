//! The traps of MariaDB, of its client library, and of Diesel on it. (The laws run on it in `conformance`, and those of
//! the web stores in `web_stores`.)

mod client;
mod migrations;
mod server;
mod tls;
