//! Session keys, and the form in which the database holds them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::error::Error;

/// The secret key of a session, which the visitor's cookie carries.
///
/// A key has 40 characters of base64's standard alphabet (`A-Z a-z 0-9 + /`), and no other form. Upper and lower case
/// differ. This crate makes keys of 160 bits from the operating system's generator, as 40 lower-case hexadecimal
/// characters. It also accepts keys of OCaml's `session-postgresql` (30 bytes as 40 base64 characters). OWASP asks for
/// at least 64 bits of entropy, and ASVS 7.2.3 for 128.
///
/// `Debug` shows no secret, there is no `Display`, and comparison takes constant time. A key is not wiped from memory
/// when it is dropped: it is copied freely, and the memory of the web server holds the cookie's text anyway.
///
/// # Examples
///
/// ```
/// use diesel_session::{Error, SessionKey};
///
/// let cookie = "6f1ed002ab5595859014ebf0951522d9a1b2c3d4";
/// let key: SessionKey = cookie.parse()?;
/// assert_eq!(key.as_str(), cookie);
/// assert_eq!(format!("{key:?}"), "SessionKey(..)");
///
/// // A text that is not a key names no session, so no database is queried.
/// assert!(matches!("' OR 1=1 --".parse::<SessionKey>(), Err(Error::NotFound)));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct SessionKey([u8; SessionKey::LENGTH]);

impl SessionKey {
    /// The length of every key, in characters and in bytes.
    pub const LENGTH: usize = 40;

    /// Draws a new key from the operating system's generator.
    pub(crate) fn random() -> Result<Self, Error> {
        let mut bits = [0; Self::LENGTH / 2];
        fill_random(&mut bits)?;
        Ok(Self::of(bits))
    }

    /// Returns the key of these bits.
    pub(crate) fn of(bits: [u8; Self::LENGTH / 2]) -> Self {
        let mut characters = [0; Self::LENGTH];
        hex::encode_to_slice(bits, &mut characters).expect("20 bytes are 40 hexadecimal digits");
        Self(characters)
    }

    /// Returns the key in clear, for the cookie. Never log it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }
}

impl FromStr for SessionKey {
    type Err = Error;

    /// Checks the form of a key that a client sent.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for anything that is not 40 characters of base64's alphabet.
    fn from_str(text: &str) -> Result<Self, Error> {
        let characters: [u8; Self::LENGTH] = text.as_bytes().try_into().map_err(|_| Error::NotFound)?;
        let in_alphabet = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/');
        if characters.iter().all(in_alphabet) { Ok(Self(characters)) } else { Err(Error::NotFound) }
    }
}

impl TryFrom<&str> for SessionKey {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

impl PartialEq for SessionKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SessionKey {}

impl Hash for SessionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// The form in which the database holds session keys.
///
/// A store uses only one form. It never looks for a key in the other form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyStorage {
    /// `$` and the first 39 characters of the base64 of the key's SHA-256. The default. A leaked backup opens no
    /// session, because `$` is not in the keys' alphabet.
    #[default]
    Hashed,
    /// The key itself, to share one table with running OCaml services. Anyone who can read the table can take over
    /// every session in it.
    Plain,
}

/// A key as the database holds it: 40 ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoredKey([u8; SessionKey::LENGTH]);

impl StoredKey {
    pub(crate) fn new(key: &SessionKey, storage: KeyStorage) -> Self {
        match storage {
            KeyStorage::Plain => Self(key.0),
            KeyStorage::Hashed => {
                // 43 characters of base64, of which the first 39 fit: 234 of 256 bits.
                let mut encoded = [0; 43];
                STANDARD_NO_PAD
                    .encode_slice(Sha256::digest(key.0), &mut encoded)
                    .expect("32 bytes are 43 characters of base64");
                let mut stored = [b'$'; SessionKey::LENGTH];
                stored[1..].copy_from_slice(&encoded[..SessionKey::LENGTH - 1]);
                Self(stored)
            }
        }
    }

    /// The stored key of no session. A key contains no `$`, and a hash contains only one.
    pub(crate) const NONE: Self = Self([b'$'; SessionKey::LENGTH]);

    /// After the stored key of every session, in the order of bytes.
    pub(crate) const LAST: Self = Self([b'~'; SessionKey::LENGTH]);

    /// After the stored key of every tombstone and before that of every session, in the order of bytes.
    pub(crate) const FIRST: Self = Self([b'#'; SessionKey::LENGTH]);

    /// Before the stored key of every tombstone and every session, and after that of every
    /// [import marker](Self::import_marker), in the order of bytes.
    pub(crate) const START: Self = Self(*b"!j                                      ");

    /// Begins the key of an [import marker](Self::import_marker).
    #[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
    const IMPORTED: &str = "!import-";

    /// Returns the key of the row that says that this session was imported. It is a hash of the session's key, so it is
    /// the same for each [`KeyStorage`].
    #[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
    pub(crate) fn import_marker(key: &SessionKey) -> Self {
        let digits = Self::digits_of("diesel-session import:", key.as_str());
        Self::read(&format!("{}{digits}", Self::IMPORTED))
            .expect("8 characters and 32 digits are 40 characters")
    }

    /// Marks the key of a [tombstone](Self::tombstone). `!` is in no session's key, so no client can have such a key.
    const TOMBSTONE: &str = "!renewed";

    /// Returns the key of the row that this session leaves when it is renewed. It is a hash of the stored key, so a
    /// store can follow a chain of renewals from one row to the next.
    pub(crate) fn tombstone(&self) -> Self {
        let digits = Self::digits_of("diesel-session renewal:", self.as_str());
        Self::of_tombstone(&digits).expect("these are 32 hexadecimal digits")
    }

    /// Returns 32 hexadecimal digits of the hash of a key, for this purpose.
    fn digits_of(purpose: &str, key: &str) -> String {
        hex::encode(&Sha256::new().chain_update(purpose).chain_update(key).finalize()[..16])
    }

    /// Returns the key of the tombstone with these [digits](Self::digits).
    pub(crate) fn of_tombstone(digits: &str) -> Option<Self> {
        let is_digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        let is_whole = digits.len() == SessionKey::LENGTH - Self::TOMBSTONE.len();
        (is_whole && digits.bytes().all(is_digit))
            .then(|| Self::read(&format!("{}{digits}", Self::TOMBSTONE)))
            .flatten()
    }

    /// Returns the 32 hexadecimal digits that distinguish the key of one tombstone from that of another.
    #[cfg(feature = "web")]
    pub(crate) fn digits(&self) -> &str {
        &self.as_str()[Self::TOMBSTONE.len()..]
    }

    /// Returns the place of the first key that begins with these characters, in the order of bytes. It is followed by
    /// blanks, which do not count in PostgreSQL's `char(40)`.
    pub(crate) fn beginning_with(characters: &str) -> Option<Self> {
        Self::read(&format!("{characters:<40}"))
    }

    /// Reads a stored key from the database.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let stored = text.as_bytes().try_into().ok().filter(|_| text.is_ascii())?;
        Some(Self(stored))
    }

    pub(crate) fn as_str(&self) -> &str {
        ascii(&self.0)
    }
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredKey(..)")
    }
}

/// Fills these bytes from the operating system's generator.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    SysRng
        .try_fill_bytes(bytes)
        .map_err(|source| Error::System { what: "random bits", source: source.into() })
}

fn ascii(characters: &[u8]) -> &str {
    std::str::from_utf8(characters).expect("keys are made of ASCII characters only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_keys_are_forty_lower_case_hexadecimal_characters() {
        let key = SessionKey::random().unwrap();
        assert!(key.as_str().bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')));
        assert_eq!(key.as_str().parse::<SessionKey>().unwrap(), key);
    }

    #[test]
    fn the_stored_form_is_the_documented_one() {
        let key: SessionKey = "0000000000000000000000000000000000000000".parse().unwrap();
        let hashed = StoredKey::new(&key, KeyStorage::Hashed);
        // printf %040d 0 | openssl sha256 -binary | base64 | cut -c -39
        assert_eq!(hashed.as_str(), "$lpLme4N4pvZ1P5d4LUWKp1fpR+qy+99rXBh7dFY");
        assert_eq!(StoredKey::new(&key, KeyStorage::Plain).as_str(), key.as_str());
    }

    #[test]
    fn a_stored_hash_is_no_key() {
        let key = SessionKey::random().unwrap();
        let stored = StoredKey::new(&key, KeyStorage::Hashed);
        assert!(matches!(stored.as_str().parse::<SessionKey>(), Err(Error::NotFound)));
    }
}
