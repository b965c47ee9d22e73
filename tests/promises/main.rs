//! What the crate promises, a module a promise, on real databases.
//!
//! PostgreSQL is a throwaway server of the tests' own, or the one that `TEST_DATABASE_URL` names, whose role
//! must be a superuser; tests that break a server always break one of their own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bad_input;
mod clock;
mod concurrency;
mod conformance;
mod examples;
mod expired_rows;
mod json;
mod keys;
mod migrations;
mod packaging;
mod pgbouncer;
mod pool;
mod properties;
mod secrets;
mod statements;
mod support;
mod table;
mod test_transaction;
