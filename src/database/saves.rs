//! Saves of a whole session. They keep what other requests have saved since it was loaded.

use super::{NewRow, OwnerQueries, QueryFuture};
use crate::key::StoredKey;
use crate::options::Deadline;

/// The effect of a save on a session's owner, or on its label.
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_debug_implementations, reason = "it names an owner")]
pub enum SavedText {
    /// The text stays as it is.
    Keep,
    /// The text becomes this one, or none.
    Is(Option<String>),
}

impl SavedText {
    /// Returns the text after the save, if `present` is the text before it.
    pub(crate) fn or<'a>(&'a self, present: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Keep => present,
            Self::Is(text) => text.as_deref(),
        }
    }

    /// Returns whether the text stays as it is, and if not, the new text.
    pub(crate) fn parts(&self) -> (bool, Option<&str>) {
        match self {
            Self::Keep => (true, None),
            Self::Is(text) => (false, text.as_deref()),
        }
    }
}

/// The queries for saves.
pub trait SaveQueries: OwnerQueries {
    /// Gives the live session under the key an expiry, and a value if `value` is not `None`. It writes only if the
    /// session's owner and label are already those to be saved. It replaces only the value `base`. Returns `false` if
    /// one of them differs, or if there is no live session.
    fn save_live(
        &mut self,
        key: &StoredKey,
        base: &str,
        value: Option<&str>,
        texts: (&SavedText, &SavedText),
        deadline: Deadline,
    ) -> impl QueryFuture<bool>;

    /// Gives the live session under the key all these texts and an expiry. Returns `false` if there is no live session.
    fn overwrite_live(
        &mut self,
        key: &StoredKey,
        row: NewRow<'_>,
        deadline: Deadline,
    ) -> impl QueryFuture<bool>;
}
