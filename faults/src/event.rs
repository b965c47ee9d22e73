//! What a client writes down, before and after each call.

use diesel_session::Error;
use serde::{Deserialize, Serialize};

/// A line of the record. Sessions are numbered by whoever began them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Event {
    /// A call that changes a session is about to be made.
    Begun { session: u64, call: Call },
    /// The call was acknowledged, with a key where it gave the session one.
    Acknowledged { session: u64, key: Option<String> },
    /// The call failed. Nobody writes this session again, but it may be cleared.
    Failed { session: u64, failure: Failure },
    /// The session's time is over, which nobody had to be asked for.
    Over { session: u64 },
    /// A session is there whose value every thread of a client counts up, from 0.
    Counter { session: u64, key: String },
    /// A thread is about to count.
    Counting { session: u64 },
    /// That was acknowledged.
    Counted { session: u64 },
    /// That failed.
    Uncounted { session: u64, failure: Failure },
    /// A call that changes nothing showed what it must.
    Read,
    /// A call that changes nothing failed.
    Unread { failure: Failure },
    /// What was acknowledged is not there: the session is not found, or has another value.
    Lost { session: u64 },
    /// A dead session took a write.
    Revived,
    /// A dead session was read.
    ServedDead,
    /// The client is done. Its longest call took so many milliseconds, and it had so many KiB of memory at most.
    Finished { longest_call: u64, peak_memory: u64 },
}

/// A call that changes a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Call {
    /// It begins, with the value of step 0; a short-lived one ends by itself within [`SHORT`] milliseconds.
    Generate { short_lived: bool },
    /// Its value becomes that of this step, by `set`, `update` or `replace`.
    Write { step: u32 },
    /// It gets another key.
    Rotate,
    /// It gets another key, and the value of this step, by two calls of a web framework: a login.
    LogIn { step: u32 },
    /// It lives so many more days, at least.
    Touch { days: u16 },
    /// It ends.
    Clear,
}

/// What a short-lived session has, in milliseconds.
pub(crate) const SHORT: u16 = 300;

/// What a session has that is written without a period: the crate's default, in days.
pub(crate) const WEEK: u16 = 7;

/// A call that failed: the kind of error, without anything of the session in it, and what that says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) kind: String,
    pub(crate) effect: Effect,
}

/// Whether a call that failed took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Effect {
    /// It was never sent, or never committed.
    None,
    /// The database refused it, but it may have been sent before, on a connection that was lost.
    Refused,
    /// It may have.
    Unknown,
}

impl Failure {
    pub(crate) fn of(error: &Error) -> Self {
        let (kind, effect) = match error {
            Error::PoolTimeout { .. } => ("PoolTimeout", Effect::None),
            // Before COMMIT.
            Error::Interrupted { .. } => ("Interrupted", Effect::None),
            Error::ConnectionLost { .. } => ("ConnectionLost", Effect::Unknown),
            Error::OutcomeUnknown { .. } => ("OutcomeUnknown", Effect::Unknown),
            Error::ServerTimeout { .. } => ("ServerTimeout", Effect::Unknown),
            Error::Database(diesel::result::Error::DatabaseError(kind, _)) => {
                return Self { kind: format!("Database({kind:?})"), effect: Effect::Refused };
            }
            other => return Self { kind: format!("unexpected: {other}"), effect: Effect::Unknown },
        };
        Self { kind: kind.to_owned(), effect }
    }
}

/// The value of a session at a step: told apart from every other by its beginning, and as long as is asked for.
pub(crate) fn value(session: u64, step: u32, size: usize) -> String {
    let mut value = format!("{session}:{step}:");
    // Compression takes nothing away from this.
    let mut random = fastrand::Rng::with_seed(session ^ u64::from(step).rotate_left(32));
    value.extend(std::iter::repeat_with(|| random.alphanumeric()).take(size));
    value
}
