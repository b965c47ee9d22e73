//! The crate's promises on a table that Citus distributes. `CITUS_DATABASE_URL` names the coordinator of the cluster:
//! see `scripts/citus`. Each test has its own schema there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod clocks;
mod cluster;
mod distribution;
mod laws;

#[allow(dead_code, reason = "most of it is for throwaway servers")]
#[path = "../promises/support.rs"]
mod support;
#[allow(dead_code, reason = "the adapters' tests use the rest")]
#[path = "../promises/waiting.rs"]
mod waiting;
