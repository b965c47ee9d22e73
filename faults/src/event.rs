//! The events that a client writes down before and after each call.

use diesel_session::Error;
use serde::{Deserialize, Serialize};

/// A line of the record. The client that begins a session gives it its number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Event {
    /// The client is about to make a call that changes a session.
    Begun { session: u64, call: Call },
    /// The call was acknowledged. If it gave the session a key, `key` has it.
    Acknowledged { session: u64, key: Option<String> },
    /// The call failed. The client does not write this session again, but it may clear it.
    Failed { session: u64, failure: Failure },
    /// The session has expired. This needs no call.
    Over { session: u64 },
    /// A session exists whose value all threads of a client increment, from 0.
    Counter { session: u64, key: String },
    /// A thread is about to increment that value.
    Counting { session: u64 },
    /// The increment was acknowledged.
    Counted { session: u64 },
    /// The increment failed.
    Uncounted { session: u64, failure: Failure },
    /// A call that changes nothing returned the expected result.
    Read,
    /// A call that changes nothing failed.
    Unread { failure: Failure },
    /// Acknowledged state is missing: the session is not found or has another value.
    Lost { session: u64 },
    /// A dead session accepted a write.
    Revived,
    /// A dead session was read.
    ServedDead,
    /// The client is done. Its longest call took `longest_call` milliseconds, and its peak memory was `peak_memory`
    /// KiB.
    Finished { longest_call: u64, peak_memory: u64 },
}

/// A call that changes a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Call {
    /// Begins the session with the value of step 0. A short-lived session expires within [`SHORT`] milliseconds.
    Generate { short_lived: bool },
    /// Changes the value to that of this step by `set`, `update` or `replace`.
    Write { step: u32 },
    /// Gives the session another key.
    Rotate,
    /// Logs in: gives the session another key and the value of this step, by two calls of a web framework.
    LogIn { step: u32 },
    /// Makes the session live for at least this many more days.
    Touch { days: u16 },
    /// Ends the session.
    Clear,
}

/// How long a short-lived session lives, in milliseconds.
pub(crate) const SHORT: u16 = 300;

/// How long a session lives if it is written without a period: the crate's default, in days.
pub(crate) const WEEK: u16 = 7;

/// A call that failed: the kind of error, without any data of the session, and the possible effect.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) kind: String,
    pub(crate) effect: Effect,
}

/// Whether a call that failed took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Effect {
    /// It has not: the call was never sent or never committed.
    None,
    /// The database refused it. An earlier attempt may have been sent on a connection that was lost.
    Refused,
    /// It may have taken effect.
    Unknown,
}

impl Failure {
    pub(crate) fn of(error: &Error) -> Self {
        let (kind, effect) = match error {
            Error::PoolTimeout { .. } => ("PoolTimeout", Effect::None),
            // The connection was lost before COMMIT.
            Error::Interrupted { .. } => ("Interrupted", Effect::None),
            Error::ConnectionLost { .. } => ("ConnectionLost", Effect::Unknown),
            Error::OutcomeUnknown { .. } => ("OutcomeUnknown", Effect::Unknown),
            Error::ServerTimeout { .. } => ("ServerTimeout", Effect::Unknown),
            Error::ReadOnly { .. } => ("ReadOnly", Effect::Refused),
            Error::Database(diesel::result::Error::DatabaseError(kind, _)) => {
                return Self { kind: format!("Database({kind:?})"), effect: Effect::Refused };
            }
            other => return Self { kind: format!("unexpected: {other}"), effect: Effect::Unknown },
        };
        Self { kind: kind.to_owned(), effect }
    }
}

/// Returns the value of a session at a step. Its beginning is unique, and `size` random characters follow.
pub(crate) fn value(session: u64, step: u32, size: usize) -> String {
    let mut value = format!("{session}:{step}:");
    // Random characters cannot be compressed.
    let mut random = fastrand::Rng::with_seed(session ^ u64::from(step).rotate_left(32));
    value.extend(std::iter::repeat_with(|| random.alphanumeric()).take(size));
    value
}
