//! Whose a session is, and what may be shown of it.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::key::StoredKey;

/// What a page may show of a session and send back to end it: no key, and of no use as one.
///
/// 32 lower-case hexadecimal characters, the first 128 bits of a SHA-256 of the stored key and a text of its own.
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

/// A live session of an owner, as [`Sessions::sessions_of`](crate::Sessions::sessions_of) lists it: no secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedSession {
    /// What names it on a page.
    pub handle: SessionHandle,
    /// When it was generated, by the database's clock.
    pub created: DateTime<Utc>,
    /// When it expires unless it is prolonged, by the database's clock.
    pub expires: DateTime<Utc>,
}

/// How many live sessions one owner may have, and what happens at the next:
/// [`Builder::owner_limit`](crate::Builder::owner_limit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnerLimit {
    /// So many; another is refused with [`Error::OwnerLimit`].
    Refuse(u32),
    /// So many; another ends those that were generated first.
    EndOldest(u32),
}

impl OwnerLimit {
    /// How many of `live` sessions must end before another may begin.
    pub(crate) fn excess(self, live: i64) -> Result<i64, Error> {
        let (Self::Refuse(limit) | Self::EndOldest(limit)) = self;
        let excess = (live + 1 - i64::from(limit)).max(0);
        match self {
            Self::Refuse(limit) if excess > 0 => Err(Error::OwnerLimit { limit }),
            _ => Ok(excess),
        }
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
