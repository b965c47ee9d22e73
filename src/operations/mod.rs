//! The operations, each on one connection: what is checked before the database is asked, and what its
//! answer means. They know no pool.
//!
//! An operation is checked when it is made; then it runs on any connection, and again on another where a
//! pool had to replace a lost one.

use std::future::Future;

use crate::error::Error;

mod basic;
mod clear_owner;
mod expired;
mod generate;
mod lifetime;
mod owner;
mod transaction;
mod update;
#[cfg(feature = "tokio")]
mod web;

pub(crate) use basic::{Clear, Get, Set};
pub(crate) use clear_owner::{Batch, ClearOwner, clear_owner_at_once};
pub(crate) use expired::{Count, DeleteExpired};
#[cfg(feature = "tokio")]
pub(crate) use generate::Drawn;
pub(crate) use generate::Generate;
pub(crate) use lifetime::{Rotate, Touch};
pub(crate) use owner::{Bind, ClearListed, OwnerOf, SessionsOf};
pub(crate) use transaction::abandon;
pub(crate) use update::{NotMade, NotWritten, Replace, Update, make};
#[cfg(feature = "tokio")]
pub(crate) use web::{Delete, Inspect, Overwrite};

/// How many keys are drawn before a database that keeps none of them is given up.
const DRAWS: u32 = 3;

/// One operation, ready to run.
pub(crate) trait Operation<C>: Send {
    type Output: Send + 'static;

    /// As logs call it.
    const NAME: &'static str;

    /// Whether it can be run again where an earlier run may have taken effect.
    const REPEATABLE: bool = true;

    /// Runs it. `repeated` says that an earlier run may have taken effect without our knowing.
    fn run(
        &mut self,
        conn: &mut C,
        repeated: bool,
    ) -> impl Future<Output = Result<Self::Output, Error>> + Send;
}
