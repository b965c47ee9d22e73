//! Pages of sessions, for an administrator.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::key::StoredKey;
use crate::session::Session;

/// One page of live sessions, as [`Sessions::list`](crate::Sessions::list) returns it. It can be longer than asked for,
/// if many keys begin with the same 8 characters. A generator never draws such keys. `Debug` shows no values.
///
/// # Examples
///
/// ```
/// use diesel_session::{MemorySession, Now, Sessions};
///
/// let sessions = MemorySession::new();
/// for _ in 0..5 {
///     sessions.generate(None, None)?;
/// }
///
/// let (mut seen, mut after) = (0, None);
/// loop {
///     let page = sessions.list(None, after.as_ref(), 2)?;
///     seen += page.sessions.len();
///     after = page.next;
///     if after.is_none() {
///         break;
///     }
/// }
/// assert_eq!(seen, 5);
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions, in no order that means anything.
    pub sessions: Vec<Session>,
    /// The place to pass for the next page. `None` if this is the last page.
    pub next: Option<SessionCursor>,
}

/// A place in the list of all sessions: the end of one page and the beginning of the next.
///
/// Its text is made of at most 16 hexadecimal digits, so it can stand in a link. The list has the order of the stored
/// keys. A cursor holds the first characters of a stored key: as few as the place needs, and at most 8 of 40. With
/// [`KeyStorage::Hashed`](crate::KeyStorage::Hashed) it says nothing about the key itself. With
/// [`KeyStorage::Plain`](crate::KeyStorage::Plain) 32 characters stay secret. These are the 128 bits that ASVS 7.2.3 asks
/// for.
///
/// # Examples
///
/// ```
/// use diesel_session::{Error, MemorySession, Now, SessionCursor, Sessions};
///
/// let sessions = MemorySession::new();
/// sessions.generate(None, None)?;
/// sessions.generate(None, None)?;
///
/// let first = sessions.list(None, None, 1)?;
/// let link = format!("/sessions?after={}", first.next.expect("there are two"));
///
/// let after: SessionCursor = link["/sessions?after=".len()..].parse()?;
/// let second = sessions.list(None, Some(&after), 1)?;
/// assert_ne!(first.sessions, second.sessions);
/// assert_eq!(second.next, None);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionCursor(StoredKey);

impl SessionCursor {
    /// How many characters of a stored key a cursor can show.
    const LONGEST: usize = 8;

    /// Returns the place between two successive keys. Returns `None` if a cursor would have to show too much of them.
    pub(crate) fn between(before: &StoredKey, after: &StoredKey) -> Option<Self> {
        let (before, after) = (before.as_str(), after.as_str());
        let common = before.bytes().zip(after.bytes()).take_while(|(one, other)| one == other).count();
        (common < Self::LONGEST).then(|| StoredKey::beginning_with(&after[..=common])).flatten().map(Self)
    }

    /// Returns a key that is not after the first key of the page, and after the last key of the page before.
    pub(crate) fn key(&self) -> StoredKey {
        self.0
    }
}

impl FromStr for SessionCursor {
    type Err = Error;

    /// Reads a cursor that a page sent back.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for anything that is not a cursor's text.
    fn from_str(text: &str) -> Result<Self, Error> {
        let characters = hex::decode(text).map_err(|_| Error::NotFound)?;
        let is_short = (1..=Self::LONGEST).contains(&characters.len());
        let in_alphabet = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'$' | b'+' | b'/');
        let text = String::from_utf8(characters).ok().filter(|_| is_short);
        let text = text.filter(|text| text.as_bytes().iter().all(in_alphabet));
        text.and_then(|text| StoredKey::beginning_with(&text)).map(Self).ok_or(Error::NotFound)
    }
}

impl fmt::Display for SessionCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_str().trim_end()))
    }
}

impl fmt::Debug for SessionCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionCursor({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StoredKey {
        StoredKey::read(&format!("{text:x<40}")).unwrap()
    }

    #[test]
    fn a_cursor_lies_between_two_keys_and_shows_as_little_as_it_can() {
        let cursor = SessionCursor::between(&key("$ab"), &key("$acd")).unwrap();
        assert_eq!(cursor.to_string(), hex::encode("$ac"));
        assert!(key("$ab") < cursor.key() && cursor.key() <= key("$acd"));
        assert_eq!(cursor.to_string().parse::<SessionCursor>().unwrap(), cursor);
    }

    #[test]
    fn no_cursor_shows_more_than_eight_characters() {
        assert!(SessionCursor::between(&key("abcdefga"), &key("abcdefgb")).is_some());
        assert!(SessionCursor::between(&key("abcdefgha"), &key("abcdefghb")).is_none());
        assert!(hex::encode("abcdefgh").parse::<SessionCursor>().is_ok());
        for text in ["", "x", "4", &hex::encode("abcdefghi"), &hex::encode("a b"), &hex::encode("é")] {
            assert!(matches!(text.parse::<SessionCursor>(), Err(Error::NotFound)), "{text}");
        }
    }
}
