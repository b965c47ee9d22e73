//! Typed values over any store of strings.

use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::now::Now;

mod sessions;

/// A store of `T` over a store of strings: each value is kept as JSON.
///
/// [`replace`](crate::Sessions::replace) reads the value first, and compares what becomes of both as JSON: it takes a
/// map whose order changes from one to the next for another value.
///
/// # Examples
///
/// ```
/// use diesel_session::{Json, MemorySession, Now};
///
/// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Cart {
///     items: Vec<u32>,
/// }
///
/// let carts = Json::<_, Cart>::new(MemorySession::new());
/// let key = carts.generate(Some(Cart { items: vec![3] }), None)?;
/// assert_eq!(carts.get(&key)?.0, Cart { items: vec![3] });
/// # Ok::<(), diesel_session::JsonError<diesel_session::Error>>(())
/// ```
pub struct Json<S, T> {
    store: S,
    /// Owns no `T`: the wrapper is `Send` and `Sync` where the store is.
    values: PhantomData<fn(T) -> T>,
}

/// Why a typed store did not do what was asked. It shows nothing of the value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError<E: StdError + Send + Sync + 'static> {
    /// The store beneath refused or failed.
    #[error(transparent)]
    Store(#[from] E),

    /// The value cannot be written as JSON: a map with keys that are no strings, for example.
    #[error("the value cannot be written as JSON; nothing was stored")]
    Serialize,

    /// The session holds a value of another shape. It is left as it is.
    #[non_exhaustive]
    #[error("the session's value is not of the expected shape, at line {line}, column {column}")]
    Deserialize {
        /// The line of the stored text, from 1; 0 where the text is no JSON of this shape as a whole.
        line: usize,
        /// The column of the stored text, from 1; 0 likewise.
        column: usize,
    },
}

impl<S, T> Json<S, T> {
    /// Wraps a store of strings.
    pub const fn new(store: S) -> Self {
        Self { store, values: PhantomData }
    }

    /// The store beneath.
    pub const fn store(&self) -> &S {
        &self.store
    }
}

impl<S: Clone, T> Clone for Json<S, T> {
    fn clone(&self) -> Self {
        Self::new(self.store.clone())
    }
}

impl<S: fmt::Debug, T> fmt::Debug for Json<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Json").field("store", &self.store).finish_non_exhaustive()
    }
}

impl<S, T> Now for Json<S, T>
where
    S: Now<Value = String>,
    T: Serialize + DeserializeOwned,
{
    type Key = S::Key;
    type Value = T;
    type Period = S::Period;
    type Error = JsonError<S::Error>;

    fn default_period(&self) -> S::Period {
        self.store.default_period()
    }

    fn set_default_period(&self, period: S::Period) -> Result<(), Self::Error> {
        Ok(self.store.set_default_period(period)?)
    }

    fn generate(&self, value: Option<T>, expiry: Option<S::Period>) -> Result<S::Key, Self::Error> {
        let text = value.as_ref().map(to_text).transpose()?;
        Ok(self.store.generate(text, expiry)?)
    }

    fn clear(&self, key: &S::Key) -> Result<(), Self::Error> {
        Ok(self.store.clear(key)?)
    }

    fn get(&self, key: &S::Key) -> Result<(T, S::Period), Self::Error> {
        let (text, left) = self.store.get(key)?;
        Ok((from_text(&text)?, left))
    }

    fn set(&self, key: &S::Key, value: T, expiry: Option<S::Period>) -> Result<(), Self::Error> {
        Ok(self.store.set(key, to_text(&value)?, expiry)?)
    }
}

fn to_text<T: Serialize, E: StdError + Send + Sync + 'static>(value: &T) -> Result<String, JsonError<E>> {
    serde_json::to_string(value).map_err(|_| JsonError::Serialize)
}

fn from_text<T: DeserializeOwned, E: StdError + Send + Sync + 'static>(
    text: &str,
) -> Result<T, JsonError<E>> {
    // serde_json's own error quotes the value.
    serde_json::from_str(text)
        .map_err(|error| JsonError::Deserialize { line: error.line(), column: error.column() })
}
