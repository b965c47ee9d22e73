//! Tests of signing in, on the program with actix-identity.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../../sign_in_laws/mod.rs"]
mod laws;

const PROGRAM: &str = env!("CARGO_BIN_EXE_actix_identity_example");
const DATABASE: &str = "actix_identity.db";
