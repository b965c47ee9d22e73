//! The crate's promises, tested on real databases. Each module tests one promise.
//!
//! PostgreSQL is a throwaway server that the tests start, or the server that `TEST_DATABASE_URL` names. The role in
//! that URL must be a superuser. Tests that break a server always start their own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod actix_session;
mod adoption;
mod all_sessions;
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
mod mariadb;
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
