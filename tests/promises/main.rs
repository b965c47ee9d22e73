//! What the crate promises, a module a promise, on real databases.
//!
//! PostgreSQL is a throwaway server of the tests' own, or the one that `TEST_DATABASE_URL` names, whose role
//! must be a superuser; tests that break a server always break one of their own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod actix_session;
mod adoption;
mod async_pool;
mod async_pools;
mod asynchronous;
mod bad_input;
mod blocking;
mod certificates;
mod clock;
mod collisions;
mod concurrency;
mod conformance;
mod erasure;
mod examples;
mod expired_rows;
mod foreign_code;
mod hosts;
mod house;
mod in_the_way;
mod json;
mod keys;
mod lifetimes;
mod lost_answers;
mod lost_updates;
mod malformed_keys;
mod metacharacters;
mod migrations;
mod older_versions;
mod owners;
mod packaging;
mod partitions;
mod pgbouncer;
mod pool;
mod properties;
mod proxy;
mod read_only;
mod schema;
mod sqlite_files;
mod statements;
mod support;
mod sweeper;
mod table;
mod table_in_use;
mod tenants;
mod test_transaction;
mod tls;
mod tower_sessions;
mod tracing;
mod waiting;
mod web_stores;
