//! A session's data: fields by name, which the table holds as one text of JSON.

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
    fn json(&self) -> Option<Value>;

    /// The value of a reserved field.
    fn reserved(text: String) -> Self;

    /// The text of a reserved field; `None` if the application has overwritten it with something else.
    fn as_reserved(&self) -> Option<&str>;

    /// How deeply the value is nested, if nothing but the framework will read it.
    fn depth(&self) -> usize;
}

/// tower-sessions has JSON.
impl Field for Value {
    fn json(&self) -> Option<Value> {
        Some(self.clone())
    }

    fn reserved(text: String) -> Self {
        Self::String(text)
    }

    fn as_reserved(&self) -> Option<&str> {
        self.as_str()
    }

    fn depth(&self) -> usize {
        match self {
            Self::Array(values) => 1 + values.iter().map(Field::depth).max().unwrap_or(0),
            Self::Object(fields) => 1 + fields.values().map(Field::depth).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// actix-session has texts of JSON.
impl Field for String {
    fn json(&self) -> Option<Value> {
        serde_json::from_str(self).ok()
    }

    fn reserved(text: String) -> Self {
        text
    }

    fn as_reserved(&self) -> Option<&str> {
        Some(self)
    }

    /// The framework reads the text by itself.
    fn depth(&self) -> usize {
        let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
        for byte in self.bytes() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if in_text => is_escaped = true,
                b'"' => in_text = !in_text,
                b'[' | b'{' if !in_text => depth += 1,
                b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        // The text is inside a field as the values of tower-sessions are, but none of its depth is the field's.
        deepest.saturating_sub(1)
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
    if own.values().any(|value| value.depth() >= DEPTH_LIMIT) {
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
