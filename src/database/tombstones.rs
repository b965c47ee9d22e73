//! The rows that renewed sessions leave.
//!
//! Web frameworks renew a session by two calls. The first call ends the session. If the request succeeds, a later call
//! continues it under a new key. Between the two calls the session is *parked*. A logout on another server must find
//! it, and so must every operation that ends sessions. So the first call replaces the session's row with a *tombstone*:
//! a row under a key that no client can have.

use chrono::{DateTime, Utc};

use super::{NewRow, Queries, QueryFuture};
use crate::key::StoredKey;
use crate::options::{Deadline, PARKED};

/// A tombstone that has not expired. While the session is parked, the row's `owner` is the session's owner with U+0001
/// before it. So lists, counts and limits of an owner leave it out. Once the session is renewed, the row has no owner.
#[allow(missing_debug_implementations, reason = "it names a session's key and its owner")]
pub struct Tombstone {
    pub(crate) ledger: Ledger,
    /// When the session was created.
    pub(crate) created: DateTime<Utc>,
    /// The session's owner.
    pub(crate) owner: Option<String>,
    /// The session's label.
    pub(crate) label: Option<String>,
}

impl Tombstone {
    /// Reads a tombstone from the columns of its row. Returns `None` for a row that this crate did not write.
    pub(crate) fn read(
        ledger: Option<String>,
        created: DateTime<Utc>,
        owner: Option<String>,
        label: Option<String>,
    ) -> Option<Self> {
        let owner = owner.and_then(|owner| owner.strip_prefix(PARKED).map(str::to_owned));
        Some(Self { ledger: Ledger::read(ledger?)?, created, owner, label })
    }
}

/// The history of a renewed session: the `session_data` of its tombstone.
///
/// Each call that ended the session adds `-` and a nonce. Each call that wanted to continue it adds `+` and a nonce. If
/// the framework tells a renewal from a logout, the store writes neither. If the session was continued, `>` and the
/// stored key of the new session come last.
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_debug_implementations, reason = "it names a session's key")]
pub struct Ledger {
    text: String,
    successor: Option<StoredKey>,
}

impl Ledger {
    const SUCCESSOR: char = '>';

    fn read(text: String) -> Option<Self> {
        let successor = match text.split_once(Self::SUCCESSOR) {
            Some((_, key)) => Some(StoredKey::read(key)?),
            None => None,
        };
        Some(Self { text, successor })
    }

    /// Returns the ledger of a session that was only continued under that key.
    pub(crate) fn renewed(successor: &StoredKey) -> String {
        format!("{}{}", Self::SUCCESSOR, successor.as_str())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the key under which the session was continued.
    pub(crate) fn successor(&self) -> Option<&StoredKey> {
        self.successor.as_ref()
    }
}

#[cfg(feature = "web")]
impl Ledger {
    /// Returns the entries, without the successor.
    fn entries(&self) -> &str {
        self.text.split(Self::SUCCESSOR).next().unwrap_or_default()
    }

    pub(crate) fn has(&self, entry: &str) -> bool {
        self.entries().contains(entry)
    }

    /// Whether as many calls wanted to continue the session as have ended it.
    pub(crate) fn is_balanced(&self) -> bool {
        let count = |mark| self.entries().matches(mark).count();
        count('-') == count('+')
    }

    /// Returns the same ledger with one more entry.
    pub(crate) fn with(&self, entry: &str) -> Self {
        Self { text: format!("{}{entry}", self.text), successor: self.successor }
    }

    /// Returns the same ledger for a session that was continued under this key, and under no other.
    pub(crate) fn continued_as(&self, successor: &StoredKey) -> Self {
        let text = format!("{}{}", self.entries(), Self::renewed(successor));
        Self { text, successor: Some(*successor) }
    }
}

/// The queries for tombstones. [`park`](Self::park) takes the key of the session. The others take that of the
/// tombstone.
pub trait TombstoneQueries: Queries {
    /// Replaces the live session under the key with its tombstone, with this ledger. Returns `false` if there is no
    /// live session. The tombstone expires when the session would have expired, but at the latest after
    /// [`Period::RENEWAL`](crate::options::Period::RENEWAL).
    fn park(&mut self, key: &StoredKey, ledger: &str) -> impl QueryFuture<bool>;

    /// Returns the tombstone, unless it has expired.
    fn find_tombstone(&mut self, key: &StoredKey) -> impl QueryFuture<Option<Tombstone>>;

    /// Replaces the ledger `from` with the ledger `to`. Returns `false` if the present ledger is not `from`, or if the
    /// tombstone has expired.
    fn write_ledger(&mut self, key: &StoredKey, from: &Ledger, to: &Ledger) -> impl QueryFuture<bool>;

    /// Continues the parked session if the present ledger is still that of `tombstone`. It inserts the new session
    /// under its own key, and writes this ledger. Returns `false` if the present ledger is another one, or if the
    /// tombstone has expired.
    ///
    /// From then on the tombstone has no owner and no label, and it lives for
    /// [`Period::RENEWAL`](crate::options::Period::RENEWAL).
    fn continue_parked(
        &mut self,
        key: &StoredKey,
        tombstone: &Tombstone,
        ledger: &Ledger,
        session: (&StoredKey, NewRow<'_>),
        deadline: Deadline,
    ) -> impl QueryFuture<bool>;

    /// Deletes the tombstone if its ledger is still this one.
    fn delete_tombstone(&mut self, key: &StoredKey, ledger: &Ledger) -> impl QueryFuture<bool>;
}
