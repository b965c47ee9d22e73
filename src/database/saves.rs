//! Saves of a whole session, which keep what other requests have saved since it was loaded.

use super::{NewRow, OwnerQueries, QueryFuture};
use crate::key::StoredKey;
use crate::options::Deadline;

/// The effect of a save on a session's owner, or on its label.
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_debug_implementations, reason = "it names an owner")]
pub enum SavedText {
    /// It stays as it is.
    Keep,
    /// It is this one, or none.
    Is(Option<String>),
}

impl SavedText {
    /// The text after the save, if it is this one before.
    pub(crate) fn or<'a>(&'a self, present: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Keep => present,
            Self::Is(text) => text.as_deref(),
        }
    }

    /// Whether it stays as it is, and if not, what it is.
    pub(crate) fn parts(&self) -> (bool, Option<&str>) {
        match self {
            Self::Keep => (true, None),
            Self::Is(text) => (false, text.as_deref()),
        }
    }
}

/// The queries for saves.
pub trait SaveQueries: OwnerQueries {
    /// Gives the live session under the key an expiry, and a value if there is one here. Writes only if the session's owner
    /// and label are those to be saved, and a value only over `base`. `false` if one of them differs, or there is no session.
    fn save_live(
        &mut self,
        key: &StoredKey,
        base: &str,
        value: Option<&str>,
        texts: (&SavedText, &SavedText),
        deadline: Deadline,
    ) -> impl QueryFuture<bool>;

    /// Gives the live session under the key all these texts and an expiry; `false` if there is none.
    fn overwrite_live(
        &mut self,
        key: &StoredKey,
        row: NewRow<'_>,
        deadline: Deadline,
    ) -> impl QueryFuture<bool>;
}
