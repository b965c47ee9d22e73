//! The operations. Each one runs on one connection and knows no pool. It checks its arguments before it asks the
//! database, and it interprets the database's answer.
//!
//! An operation is checked when it is made. Then it runs on any connection. If a pool had to replace a lost connection,
//! it runs again on another one. A store that implements [`Execute`] runs any of them, and so it has all of
//! [`Now`](crate::Now) and [`Sessions`](crate::Sessions).

use std::future::Future;

use crate::error::Error;

mod async_sessions;
mod basic;
mod batch;
mod clear_all;
mod clear_owner;
mod execute;
mod expired;
mod generate;
mod lifetime;
mod lineage;
mod list;
mod owner;
mod sessions;
mod transaction;
mod update;
#[cfg(feature = "web")]
mod web;

pub use async_sessions::AsyncSessions;
#[cfg(feature = "tokio")]
pub(crate) use async_sessions::async_contracts;
pub(crate) use basic::{Clear, Find, Get, Set};
pub(crate) use batch::in_batches;
pub(crate) use clear_all::ClearAll;
pub(crate) use clear_owner::ClearOwner;
pub(crate) use execute::{Execute, ExecuteAsync};
pub(crate) use expired::{Count, DeleteExpired};
#[cfg(feature = "web")]
pub(crate) use generate::Drawn;
pub(crate) use generate::Generate;
pub(crate) use lifetime::{Rotate, Touch};
pub(crate) use list::{List, clear_handle};
pub(crate) use owner::{Bind, ClearListed, SessionsOf, SetLabel};
pub(crate) use sessions::{contracts, sessions_by_execute};
pub(crate) use transaction::abandon;
#[cfg(all(feature = "testing", feature = "tokio"))]
pub(crate) use update::Updating;
pub(crate) use update::{NotMade, NotWritten, Replace, Update, make, outside_of_updates};
#[cfg(feature = "web")]
pub use web::Conflicts;
#[cfg(feature = "actix-session")]
pub(crate) use web::Park;
#[cfg(feature = "web")]
pub(crate) use web::{Continue, Draft, Merge, Merged, Nonce, Save};
#[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
pub(crate) use web::{EndOrPark, Import, ImportedSession};

/// How many keys the store draws before it gives up on a database that keeps none of them.
const KEY_ATTEMPTS: u32 = 3;

/// How often a DELETE may find none of the sessions that were just seen. After that, the cause is not a rotation.
const DELETE_ATTEMPTS: u32 = 10;

/// One operation, ready to run.
pub trait Operation<C>: Send {
    /// Its result.
    type Output: Send + 'static;

    /// Its name in logs.
    const NAME: &'static str;

    /// Whether it can run again if an earlier run may have taken effect.
    const REPEATABLE: bool = true;

    /// Runs it. `repeated` says that an earlier run may have taken effect without an answer.
    fn run(
        &mut self,
        conn: &mut C,
        repeated: bool,
    ) -> impl Future<Output = Result<Self::Output, Error>> + Send;
}

/// Returns *not found* if a write did not find its session.
fn found(is_there: bool) -> Result<(), Error> {
    if is_there { Ok(()) } else { Err(Error::NotFound) }
}
