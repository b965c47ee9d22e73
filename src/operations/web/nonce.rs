//! The entries of a ledger.

#[cfg(feature = "actix-session")]
use crate::error::Error;
#[cfg(feature = "actix-session")]
use crate::key::fill_random;

/// Identifies one call of a framework in the [ledger](crate::database::Ledger) of a tombstone. A retry of the call has
/// the same nonce.
#[derive(Clone)]
pub(crate) struct Nonce(String);

impl Nonce {
    #[cfg(feature = "actix-session")]
    pub(crate) fn draw() -> Result<Self, Error> {
        let mut bits = [0; 8];
        fill_random(&mut bits)?;
        Ok(Self(hex::encode(bits)))
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
