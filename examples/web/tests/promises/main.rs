//! Each promise of the application is a test, named as a sentence that can be false.

mod browser;
mod http;
mod support;
