//! Sessions as the store returns them, and the properties of a new one.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::key::StoredKey;

/// The name of a session for pages: a page can show it, and send it back to end the session. It does not work as a key.
///
/// 32 lower-case hexadecimal characters: the first 128 bits of the SHA-256 of a fixed text and the stored key.
/// [`Sessions::rotate`](crate::Sessions::rotate) changes it with the key.
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
    /// The name of the session on a page. It is no key.
    pub handle: SessionHandle,
    /// The value; `None` if the session was generated without one and none was set.
    pub value: Option<String>,
    /// The owner, for example a user's id; `None` if the session has none.
    pub owner: Option<String>,
    /// Its name on a page, for example "Firefox on Linux"; `None` if it has none.
    pub label: Option<String>,
    /// When it was generated, by the database's clock.
    pub created: DateTime<Utc>,
    /// When it was last written, by the database's clock: by any operation that writes, a
    /// [`touch`](crate::Sessions::touch) included if it wrote. Reads do not count. A session that was never written
    /// since it was generated has the time of `created` here.
    pub used: DateTime<Utc>,
    /// When it expires unless it is prolonged, by the database's clock.
    pub expires: DateTime<Utc>,
    /// The rest of its period, by the database's clock: more than zero, and never more than the caller asked for.
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
    /// The name of the session on a page.
    pub handle: SessionHandle,
    /// Its name on a page, for example "Firefox on Linux"; `None` if it has none.
    pub label: Option<String>,
    /// When it was generated, by the database's clock.
    pub created: DateTime<Utc>,
    /// When it was last written: see [`Session::used`].
    pub used: DateTime<Utc>,
    /// When it expires unless it is prolonged, by the database's clock.
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
    /// A session without a value, an owner or a label, which lives for the store's default period.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value.
    pub fn value(mut self, value: &'a str) -> Self {
        self.value = Some(value);
        self
    }

    /// The owner: at most 255 bytes, without NUL.
    pub fn owner(mut self, owner: &'a str) -> Self {
        self.owner = Some(owner);
        self
    }

    /// What to call it on a page, for example "Firefox on Linux": at most 255 bytes, without NUL.
    pub fn label(mut self, label: &'a str) -> Self {
        self.label = Some(label);
        self
    }

    /// How long it lives, instead of the store's default period. A zero or negative period is legal: the session starts
    /// expired.
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

/// The effect of a write on the time at which a session expires. No write carries it past the
/// [longest life](crate::Builder::max_lifetime) that was set.
///
/// [`Now::set`](crate::Now::set) keeps the meaning of the original: there `None` is [`Default`](Self::Default).
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
    /// The session expires when the store's default period is over, from now.
    Default,
    /// The session expires when this period is over, from now. A zero or negative period ends it, except in a
    /// [`touch`](crate::Sessions::touch), which never shortens.
    After(TimeDelta),
    /// The session expires when it would have expired without the write, or at the end of its longest life if that is
    /// earlier.
    Keep,
}

/// As [`Now`](crate::Now) has it: `None` is the default period.
impl From<Option<TimeDelta>> for Expiry {
    fn from(period: Option<TimeDelta>) -> Self {
        period.map_or(Self::Default, Self::After)
    }
}

/// How many sessions a store holds: [`Sessions::count`](crate::Sessions::count).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionCount {
    /// Those that can be used.
    pub live: u64,
    /// Those that [`Sessions::delete_expired`](crate::Sessions::delete_expired) has not deleted yet.
    pub expired: u64,
}
