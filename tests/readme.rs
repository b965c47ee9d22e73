//! Compiles and runs the README's code as documentation tests of this package. The package has the dependencies that
//! the code needs.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
