//! A session's data: fields by name. The table holds them as one JSON text.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::operations::Conflicts;

/// The fields that a store adds to the data of a loaded session. They stay in this process, and the table does not hold
/// them.
pub(super) mod reserved {
    /// The text that was loaded. A save merges the changes since then.
    pub(in crate::web) const BASE: &str = "diesel-session.base";
    /// When the session was created, in milliseconds since 1970 in UTC. Only for reading.
    pub(in crate::web) const CREATED: &str = "diesel-session.created";
    /// The session's key, if the framework does not give it to the application.
    pub(in crate::web) const KEY: &str = "diesel-session.key";
    /// The digits of the session's tombstone. They show which session a renewal continues.
    pub(in crate::web) const RENEWAL: &str = "diesel-session.renewal";

    pub(super) const ALL: [&str; 4] = [BASE, CREATED, KEY, RENEWAL];
}

/// The deepest level of nesting that `serde_json` reads. It could write deeper values, but never read them again.
const DEPTH_LIMIT: usize = 127;

pub(super) type Data<V> = HashMap<String, V>;

/// A field's value, in the type that the framework uses.
pub trait Field: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Returns the value as JSON; `None` if it is not JSON.
    fn json(&self) -> Option<Cow<'_, Value>>;

    /// Makes the value of a reserved field.
    fn reserved(text: String) -> Self;

    /// Returns the text of a reserved field; `None` if the application has overwritten it with something else.
    fn as_reserved(&self) -> Option<&str>;

    /// Whether the value has at most this many levels of nesting.
    fn fits(&self, levels: usize) -> bool;
}

/// The values of tower-sessions are JSON.
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

/// The values of actix-session are texts of JSON.
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

/// Returns the fields of the application: all except the reserved ones.
pub(super) fn own<V: Field>(data: &Data<V>) -> BTreeMap<&str, &V> {
    let fields = data.iter().map(|(name, value)| (name.as_str(), value));
    fields.filter(|(name, _)| !reserved::ALL.contains(name)).collect()
}

/// Returns the text of a reserved field.
pub(super) fn text<'a, V: Field>(data: &'a Data<V>, field: &str) -> Option<&'a str> {
    data.get(field).map(|value| value.as_reserved().unwrap_or_default())
}

/// Returns the text for the table. Equal data have equal texts.
pub(super) fn encode<V: Field>(data: &Data<V>) -> Result<String, Error> {
    let own = own(data);
    // The map of the fields is one level.
    if !own.values().all(|value| value.fits(DEPTH_LIMIT - 1)) {
        return Err(Error::TooDeep { limit: DEPTH_LIMIT });
    }
    Ok(serde_json::to_string(&own).expect("JSON values by name are JSON"))
}

/// Returns the data in a text from the table; `None` if the text holds no data of this framework.
pub(super) fn decode<V: Field>(text: &str) -> Option<Data<V>> {
    // serde_json's own error quotes the value.
    serde_json::from_str(text).ok()
}

/// Merges the changes of this request since `base` was loaded with those of others, field by field.
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
        // A missing field counts as a value, so the removal of a field is a change.
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
