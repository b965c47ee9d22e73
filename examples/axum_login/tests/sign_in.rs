//! Tests of signing in, on the program with axum-login.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../../sign_in_laws/mod.rs"]
mod laws;

const PROGRAM: &str = env!("CARGO_BIN_EXE_axum_login_example");
const DATABASE: &str = "axum_login.db";
