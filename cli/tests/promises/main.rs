//! The command's promises. Each test runs it as a process, on a real database.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bad_input;
mod doctor;
mod ending;
mod importing;
mod listing;
mod mariadb;
mod shell;
mod statistics;
mod support;
mod sweeping;
mod table;
mod terminal;
