//! The README's code, compiled and run as documentation tests of this package, which has what that code needs.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
