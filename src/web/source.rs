//! The sources from which a store reads the owner and the label of a session.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::data::{Data, Field};
use crate::database::SavedText;
use crate::error::Error;

/// The source from which a store for web frameworks reads a session's owner, or its label: an argument of `owner_from`
/// and `label_from`. Other crates cannot implement it.
///
/// - A text is the name of a field of the session's data. If it starts with `/`, it is a JSON pointer (RFC 6901)
///   instead: `/axum-login.data/user_id` is the field `user_id` in the field `axum-login.data`. The value must be a
///   text or a number, which is kept as text. If the value is missing or null, the session has no owner or no label.
///   For any other value the save fails with [`Error::NotText`].
/// - A function returns the owner or the label for the data, or `None`.
pub trait TextSource<V>: Sealed<V> {}

impl<V, T: Sealed<V>> TextSource<V> for T {}

/// Converts an argument to a source.
pub trait Sealed<V> {
    /// The source.
    fn source(self) -> Source<V>;
}

/// A function over a session's data.
type Function<V> = Arc<dyn Fn(&Data<V>) -> Option<String> + Send + Sync>;

/// A field or a function that gives the text.
pub enum Source<V> {
    /// The name of a field, and a JSON pointer to a value in it. The pointer is empty for the field itself.
    Field { path: String, name: String, pointer: String },
    /// A function.
    Function(Function<V>),
}

impl<V> Sealed<V> for &str {
    fn source(self) -> Source<V> {
        let (name, pointer) = match self.strip_prefix('/') {
            None => (self.to_owned(), String::new()),
            Some(path) => {
                let (first, rest) = path.find('/').map_or((path, ""), |end| path.split_at(end));
                (first.replace("~1", "/").replace("~0", "~"), rest.to_owned())
            }
        };
        Source::Field { path: self.to_owned(), name, pointer }
    }
}

impl<V, F> Sealed<V> for F
where
    F: Fn(&Data<V>) -> Option<String> + Send + Sync + 'static,
{
    fn source(self) -> Source<V> {
        Source::Function(Arc::new(self))
    }
}

impl<V: Field> Source<V> {
    /// Reads the text from data that are to be saved.
    pub(super) fn read(&self, data: &Data<V>) -> Result<SavedText, Error> {
        let (path, name, pointer) = match self {
            Self::Function(function) => return Ok(SavedText::Is(function(data))),
            Self::Field { path, name, pointer } => (path, name, pointer),
        };
        let not_text = || Error::NotText { field: path.clone() };
        let Some(field) = data.get(name) else { return Ok(SavedText::Is(None)) };
        match field.json().ok_or_else(not_text)?.pointer(pointer) {
            None | Some(Value::Null) => Ok(SavedText::Is(None)),
            Some(Value::String(text)) => Ok(SavedText::Is(Some(text.clone()))),
            Some(Value::Number(number)) => Ok(SavedText::Is(Some(number.to_string()))),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Err(not_text()),
        }
    }
}

impl<V> Clone for Source<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Field { path, name, pointer } => {
                Self::Field { path: path.clone(), name: name.clone(), pointer: pointer.clone() }
            }
            Self::Function(function) => Self::Function(Arc::clone(function)),
        }
    }
}

impl<V> fmt::Debug for Source<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { path, .. } => f.debug_tuple("Field").field(path).finish(),
            Self::Function(_) => f.write_str("Function"),
        }
    }
}
