//! A session's data: fields by name, which the table holds as one text of JSON.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::operations::Conflicts;

/// The fields that a store adds to the data of a loaded session. They stay in this process: the table does not hold them.
pub(super) mod reserved {
    /// The text that was loaded, against which a save merges.
    pub(in crate::web) const BASE: &str = "diesel-session.base";
    /// When the session was created, in milliseconds since 1970 in UTC: for reading only.
    pub(in crate::web) const CREATED: &str = "diesel-session.created";
    /// The session's key, if the framework does not tell it to the application.
    pub(in crate::web) const KEY: &str = "diesel-session.key";
    /// The digits of the session's tombstone: which session a renewal continues.
    pub(in crate::web) const RENEWAL: &str = "diesel-session.renewal";

    pub(super) const ALL: [&str; 4] = [BASE, CREATED, KEY, RENEWAL];
}

/// How deeply nested values `serde_json` reads: deeper ones could be saved, but never loaded.
const DEPTH_LIMIT: usize = 127;

pub(super) type Data<V> = HashMap<String, V>;

/// A field's value as the framework has it.
pub trait Field: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The value as JSON; `None` if it is none.
    fn json(&self) -> Option<Cow<'_, Value>>;

    /// The value of a reserved field.
    fn reserved(text: String) -> Self;

    /// The text of a reserved field; `None` if the application has overwritten it with something else.
    fn as_reserved(&self) -> Option<&str>;

    /// Whether the value is nested no more than so many levels deep.
    fn fits(&self, levels: usize) -> bool;
}

/// tower-sessions has JSON.
impl Field for Value {
    fn json(&self) -> Option<Cow<'_, Value>> {
        Some(Cow::Borrowed(self))
    }

    fn reserved(text: String) -> Self {
        Self::String(text)
    }

    fn as_reserved(&self) -> Option<&str> {
        self.as_str()
    }

    fn fits(&self, levels: usize) -> bool {
        let inside = levels.checked_sub(1);
        match self {
            Self::Array(values) => inside.is_some_and(|levels| values.iter().all(|value| value.fits(levels))),
            Self::Object(fields) => {
                inside.is_some_and(|levels| fields.values().all(|value| value.fits(levels)))
            }
            _ => true,
        }
    }
}

/// actix-session has texts of JSON.
impl Field for String {
    fn json(&self) -> Option<Cow<'_, Value>> {
        serde_json::from_str(self).ok().map(Cow::Owned)
    }

    fn reserved(text: String) -> Self {
        text
    }

    fn as_reserved(&self) -> Option<&str> {
        Some(self)
    }

    fn fits(&self, levels: usize) -> bool {
        let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
        self.bytes().all(|byte| {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_text => is_escaped = true,
                b'"' => is_text = !is_text,
                b'[' | b'{' if !is_text => depth += 1,
                b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth <= levels
        })
    }
}

/// What the application has put into the data.
pub(super) fn own<V: Field>(data: &Data<V>) -> BTreeMap<&str, &V> {
    let fields = data.iter().map(|(name, value)| (name.as_str(), value));
    fields.filter(|(name, _)| !reserved::ALL.contains(name)).collect()
}

/// The text of a reserved field.
pub(super) fn text<'a, V: Field>(data: &'a Data<V>, field: &str) -> Option<&'a str> {
    data.get(field).map(|value| value.as_reserved().unwrap_or_default())
}

/// The text for the table. Equal data have equal texts.
pub(super) fn encode<V: Field>(data: &Data<V>) -> Result<String, Error> {
    let own = own(data);
    // The field itself is one level.
    if !own.values().all(|value| value.fits(DEPTH_LIMIT - 1)) {
        return Err(Error::TooDeep { limit: DEPTH_LIMIT });
    }
    Ok(serde_json::to_string(&own).expect("JSON values by name are JSON"))
}

/// The data of a text from the table; `None` if it is no data of this framework.
pub(super) fn decode<V: Field>(text: &str) -> Option<Data<V>> {
    // serde_json's own error quotes the value.
    serde_json::from_str(text).ok()
}

/// Merges field by field: what this request has changed since `base` was loaded, and what others have.
pub(super) fn merge<V: Field>(
    base: &Data<V>,
    mine: &Data<V>,
    theirs: &Data<V>,
    conflicts: Conflicts,
) -> Result<Data<V>, Error> {
    let (base, mine, theirs) = (own(base), own(mine), own(theirs));
    let names: BTreeSet<&str> = base.keys().chain(mine.keys()).chain(theirs.keys()).copied().collect();
    let mut merged = Data::new();
    for name in names {
        // A field that is missing has a value of its own.
        let (before, mine, theirs) = (base.get(name), mine.get(name), theirs.get(name));
        let is_conflict = mine != before && theirs != before && mine != theirs;
        if is_conflict && conflicts == Conflicts::Reject {
            return Err(Error::Changed);
        }
        if let Some(value) = if mine == before { theirs } else { mine } {
            merged.insert(name.to_owned(), (*value).clone());
        }
    }
    Ok(merged)
}
