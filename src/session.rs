//! Sessions as the store returns them, and the properties of a new one.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::key::StoredKey;

/// The public name of a session. A page can show it, and send it back to end the session. It does not work as a key.
///
/// It has 32 lower-case hexadecimal characters: the first 128 bits of the SHA-256 of a fixed text and the stored key.
/// [`Sessions::rotate`](crate::Sessions::rotate) changes it together with the key.
///
/// # Examples
///
/// ```
/// use diesel_session::{Error, MemorySession, SessionHandle, Sessions};
///
/// let sessions = MemorySession::new();
/// let key = sessions.generate_for("alice", None, None)?;
///
/// let link = format!("/devices/{}/end", sessions.handle(&key));
/// let from_link: SessionHandle = link[9..41].parse()?;
/// assert_eq!(from_link, sessions.handle(&key));
/// assert!(link[9..41].parse::<diesel_session::SessionKey>().is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionHandle([u8; SessionHandle::LENGTH / 2]);

impl SessionHandle {
    /// The length of every handle, in characters.
    pub const LENGTH: usize = 32;

    pub(crate) fn new(key: &StoredKey) -> Self {
        let digest =
            Sha256::new().chain_update("diesel-session handle:").chain_update(key.as_str()).finalize();
        let mut handle = [0; Self::LENGTH / 2];
        handle.copy_from_slice(&digest[..Self::LENGTH / 2]);
        Self(handle)
    }
}

impl FromStr for SessionHandle {
    type Err = Error;

    /// Reads a handle that a page sent back.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for anything that is not 32 hexadecimal characters.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut handle = [0; Self::LENGTH / 2];
        hex::decode_to_slice(text, &mut handle).map_err(|_| Error::NotFound)?;
        Ok(Self(handle))
    }
}

impl fmt::Display for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionHandle({self})")
    }
}

/// A live session, as [`Sessions::find`](crate::Sessions::find) returns it. `Debug` does not show the value.
///
/// # Examples
///
/// ```
/// use diesel_session::{MemorySession, Sessions, TimeDelta};
///
/// let sessions = MemorySession::new();
/// let key = sessions.generate_for("alice", Some("cart=3"), Some(TimeDelta::minutes(30)))?;
///
/// let session = sessions.find(&key)?;
/// assert_eq!(session.value.as_deref(), Some("cart=3"));
/// assert_eq!(session.owner.as_deref(), Some("alice"));
/// assert!(session.left <= TimeDelta::minutes(30));
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// The public name of the session. It is not a key.
    pub handle: SessionHandle,
    /// The value; `None` if the session was generated without one and none has been set.
    pub value: Option<String>,
    /// The owner, for example a user's id; `None` if the session has none.
    pub owner: Option<String>,
    /// The label of the session on a page, for example "Firefox on Linux"; `None` if it has none.
    pub label: Option<String>,
    /// When the session was generated, by the database's clock.
    pub created: DateTime<Utc>,
    /// When the session was last written, by the database's clock. Every operation that writes counts, and so does a
    /// [`touch`](crate::Sessions::touch) if it wrote. Reads do not count. If the session was not written since it was
    /// generated, this is the same as `created`.
    pub used: DateTime<Utc>,
    /// When the session expires unless it is prolonged, by the database's clock.
    pub expires: DateTime<Utc>,
    /// The rest of the session's period, by the database's clock. It is more than zero, and never more than the caller
    /// asked for.
    pub left: TimeDelta,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_ref().map(|_| format_args!(".."));
        f.debug_struct("Session")
            .field("handle", &self.handle)
            .field("value", &value)
            .field("owner", &self.owner)
            .field("label", &self.label)
            .field("created", &self.created)
            .field("used", &self.used)
            .field("expires", &self.expires)
            .field("left", &self.left)
            .finish()
    }
}

/// A live session of an owner, as [`Sessions::sessions_of`](crate::Sessions::sessions_of) lists it. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedSession {
    /// The public name of the session.
    pub handle: SessionHandle,
    /// The label of the session on a page, for example "Firefox on Linux"; `None` if it has none.
    pub label: Option<String>,
    /// When the session was generated, by the database's clock.
    pub created: DateTime<Utc>,
    /// When the session was last written: see [`Session::used`].
    pub used: DateTime<Utc>,
    /// When the session expires unless it is prolonged, by the database's clock.
    pub expires: DateTime<Utc>,
}

/// The properties of a new session, for [`Sessions::generate_with`](crate::Sessions::generate_with). Each is optional.
///
/// # Examples
///
/// ```
/// use diesel_session::{MemorySession, NewSession, Sessions, TimeDelta};
///
/// let sessions = MemorySession::new();
/// let login = NewSession::new()
///     .owner("alice")
///     .label("Firefox on Linux")
///     .value("cart=3")
///     .period(TimeDelta::minutes(30));
/// let key = sessions.generate_with(&login)?;
/// assert_eq!(sessions.find(&key)?.label.as_deref(), Some("Firefox on Linux"));
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Clone, Copy, Default)]
#[must_use]
pub struct NewSession<'a> {
    pub(crate) value: Option<&'a str>,
    pub(crate) owner: Option<&'a str>,
    pub(crate) label: Option<&'a str>,
    pub(crate) period: Option<TimeDelta>,
}

impl<'a> NewSession<'a> {
    /// Returns the properties of a session without a value, an owner or a label, which lives for the store's default
    /// period.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value.
    pub fn value(mut self, value: &'a str) -> Self {
        self.value = Some(value);
        self
    }

    /// Sets the owner: at most 255 bytes, without NUL.
    pub fn owner(mut self, owner: &'a str) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Sets the label of the session on a page, for example "Firefox on Linux": at most 255 bytes, without NUL.
    pub fn label(mut self, label: &'a str) -> Self {
        self.label = Some(label);
        self
    }

    /// Sets how long the session lives, instead of the store's default period. A zero or negative period is allowed:
    /// the session is then expired from the start.
    pub fn period(mut self, period: TimeDelta) -> Self {
        self.period = Some(period);
        self
    }
}

impl fmt::Debug for NewSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.map(|_| format_args!(".."));
        f.debug_struct("NewSession")
            .field("value", &value)
            .field("owner", &self.owner)
            .field("label", &self.label)
            .field("period", &self.period)
            .finish()
    }
}

/// The effect of a write on the time at which a session expires. No write prolongs a session past its [longest
/// life](crate::Builder::max_lifetime), if one is set.
///
/// In [`Now::set`](crate::Now::set), `None` means [`Default`](Self::Default), as in the OCaml original.
///
/// # Examples
///
/// ```
/// use diesel_session::{Expiry, MemorySession, Now, Sessions, TimeDelta};
///
/// let sessions = MemorySession::new();
/// let key = sessions.generate(Some("cart=3"), Some(TimeDelta::minutes(30)))?;
///
/// sessions.put(&key, "cart=4", Expiry::Keep)?;
/// assert!(sessions.get(&key)?.1 <= TimeDelta::minutes(30));
///
/// sessions.put(&key, "cart=5", Expiry::Default)?;
/// assert!(sessions.get(&key)?.1 > TimeDelta::days(6));
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// The session expires after the store's default period, from now.
    Default,
    /// The session expires after this period, from now. A zero or negative period ends it, except in a
    /// [`touch`](crate::Sessions::touch), which never shortens a session.
    After(TimeDelta),
    /// The session expires when it would have expired without the write, or at the end of its longest life if that is
    /// earlier.
    Keep,
}

/// As in [`Now`](crate::Now), `None` is the default period.
impl From<Option<TimeDelta>> for Expiry {
    fn from(period: Option<TimeDelta>) -> Self {
        period.map_or(Self::Default, Self::After)
    }
}

/// How many sessions a store holds, as [`Sessions::count`](crate::Sessions::count) returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionCount {
    /// The sessions that can be used.
    pub live: u64,
    /// The expired sessions that [`Sessions::delete_expired`](crate::Sessions::delete_expired) has not deleted yet.
    pub expired: u64,
}
