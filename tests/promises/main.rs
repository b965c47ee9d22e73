//! What the crate promises, a module a promise, on real databases.
