//! The entries of a ledger.

use crate::error::Error;
use crate::key::fill_random;

/// Identifies one call: a framework's in the [ledger](crate::database::Ledger) of a tombstone, or an import's in its
/// markers. A retry of the call has the same nonce.
#[derive(Clone)]
pub(crate) struct Nonce(String);

impl Nonce {
    pub(crate) fn draw() -> Result<Self, Error> {
        let mut bits = [0; 8];
        fill_random(&mut bits)?;
        Ok(Self(hex::encode(bits)))
    }

    #[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the entry of a call that ended the session.
    #[cfg(feature = "actix-session")]
    pub(super) fn ended(&self) -> String {
        format!("-{}", self.0)
    }

    /// Returns the entry of a call that wanted to continue the session.
    pub(super) fn continued(&self) -> String {
        format!("+{}", self.0)
    }
}
