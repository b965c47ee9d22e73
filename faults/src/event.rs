//! What a client writes down, before and after each call.

use diesel_session::Error;
use serde::{Deserialize, Serialize};

/// A line of the record. Sessions are numbered by whoever began them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Event {
    /// A call that changes a session is about to be made.
    Begun {
        /// The session.
        session: u64,
        /// The call.
        call: Call,
    },
    /// The call was acknowledged.
    Acknowledged {
        /// The session.
        session: u64,
        /// The session's key, where the call gave it one.
        key: Option<String>,
    },
    /// The call failed, and may have taken effect or not. Nobody writes this session again.
    Unclear {
        /// The session.
        session: u64,
        /// What kind of error.
        error: String,
        /// Whether it is the database's own: it took the call, and refused it.
        refused: bool,
    },
    /// A session is there whose value every thread of a client counts up, from 0.
    Counter {
        /// The session.
        session: u64,
        /// Its key.
        key: String,
    },
    /// A thread is about to count.
    Counting {
        /// The session.
        session: u64,
    },
    /// That was acknowledged.
    Counted {
        /// The session.
        session: u64,
    },
    /// A call that changes nothing showed what it must.
    Read,
    /// A call that changes nothing failed.
    Unread {
        /// What kind of error.
        error: String,
    },
    /// What was acknowledged is not there: the session is not found, or has another value.
    Lost {
        /// The session.
        session: u64,
    },
    /// A dead session took a write.
    Revived {
        /// The session.
        session: u64,
    },
    /// A dead session was read.
    ServedDead {
        /// The session.
        session: u64,
    },
    /// The client is done.
    Finished {
        /// The longest that a call took, in milliseconds.
        longest_call: u64,
        /// The most memory that the process had, in KiB.
        peak_memory: u64,
    },
}

/// A call that changes a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Call {
    /// It begins, with the value of step 0.
    Generate {
        /// It ends by itself within a second.
        short_lived: bool,
    },
    /// Its value becomes that of this step, by `set`, `update` or `replace`.
    Write {
        /// The step.
        step: u32,
    },
    /// It gets another key.
    Rotate,
    /// It ends: by `clear`, or because its time is over.
    End,
}

/// The value of a session at a step: told apart from every other by its beginning, and long enough at times to
/// lie outside the row.
#[must_use]
pub(crate) fn value(session: u64, step: u32, size: usize) -> String {
    let mut value = format!("{session}:{step}:");
    // Compression takes nothing away from this.
    let mut random = fastrand::Rng::with_seed(session ^ u64::from(step).rotate_left(32));
    value.extend(std::iter::repeat_with(|| random.alphanumeric()).take(size));
    value
}

/// What kind of error, without anything of the session in it.
pub(crate) fn kind(error: &Error) -> String {
    let kind = match error {
        Error::PoolTimeout { .. } => "PoolTimeout",
        Error::ConnectionLost { .. } => "ConnectionLost",
        Error::OutcomeUnknown { .. } => "OutcomeUnknown",
        Error::ServerTimeout { .. } => "ServerTimeout",
        Error::Database(diesel::result::Error::DatabaseError(kind, _)) => {
            return format!("Database({kind:?})");
        }
        Error::Database(_) => "Database",
        other => return format!("unexpected: {other}"),
    };
    kind.to_owned()
}
