//! What a session's texts may be.

use super::PARKED;
use crate::error::Error;

/// Bytes of an owner's name, and of a label.
const NAME_LIMIT: usize = 255;

/// The size of the largest value, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValueLimit(usize);

impl ValueLimit {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(self) -> usize {
        self.0
    }

    pub(crate) fn check(self, value: &str) -> Result<(), Error> {
        let Self(limit) = self;
        if value.len() > limit {
            return Err(Error::ValueTooLarge { size: value.len(), limit });
        }
        check_text(value)
    }
}

/// Refuses a value with a NUL, which no database's text column holds.
pub(crate) fn check_text(value: &str) -> Result<(), Error> {
    without_nul(value, |position| Error::ValueHasNul { position })
}

pub(crate) fn check_owner(owner: &str) -> Result<(), Error> {
    if owner.len() > NAME_LIMIT {
        return Err(Error::OwnerTooLong { size: owner.len(), limit: NAME_LIMIT });
    }
    if owner.starts_with(PARKED) {
        return Err(Error::OwnerReserved);
    }
    without_nul(owner, |position| Error::OwnerHasNul { position })
}

pub(crate) fn check_label(label: &str) -> Result<(), Error> {
    if label.len() > NAME_LIMIT {
        return Err(Error::LabelTooLong { size: label.len(), limit: NAME_LIMIT });
    }
    without_nul(label, |position| Error::LabelHasNul { position })
}

/// Refuses a text with a NUL. `error` gets the position of the first NUL, in bytes.
fn without_nul(text: &str, error: impl FnOnce(usize) -> Error) -> Result<(), Error> {
    text.bytes().position(|byte| byte == 0).map_or(Ok(()), |position| Err(error(position)))
}
