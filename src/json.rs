//! Typed values on any store, kept as JSON: these functions convert a value to its text and back (feature `json`).
//!
//! They work with every operation that takes or returns a value, on blocking and asynchronous stores alike.
//!
//! # Examples
//!
//! ```
//! use diesel_session::{Error, Expiry, MemorySession, Now, Sessions, json};
//!
//! #[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
//! struct Cart {
//!     items: Vec<u32>,
//! }
//!
//! let sessions = MemorySession::new();
//! let key = sessions.generate(Some(&json::encode(&Cart { items: vec![3] })?), None)?;
//!
//! let (text, _left) = sessions.get(&key)?;
//! assert_eq!(json::decode::<Cart>(&text)?, Cart { items: vec![3] });
//!
//! sessions.update(&key, Expiry::Keep, json::change(|cart: Option<Cart>| {
//!     let mut cart = cart.unwrap_or_default();
//!     cart.items.push(4);
//!     Ok::<_, Error>(cart)
//! }))?;
//! assert_eq!(json::decode::<Cart>(&sessions.get(&key)?.0)?.items, [3, 4]);
//! # Ok::<(), Error>(())
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Converts a value to its text.
///
/// # Errors
///
/// [`Error::NotJson`] for a value that JSON cannot hold, for example a map with keys that are not strings.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    // serde_json's own error may quote the value.
    serde_json::to_string(value).map_err(|_| Error::NotJson)
}

/// Converts a text to its value.
///
/// # Errors
///
/// [`Error::OtherShape`] for a text that is not JSON, or not that of a `T`. The error shows nothing of the text.
pub fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    // serde_json's own error quotes the value.
    serde_json::from_str(text)
        .map_err(|error| Error::OtherShape { line: error.line(), column: error.column() })
}

/// Converts a function over typed values to one for [`Sessions::update`](crate::Sessions::update).
///
/// # Errors
///
/// The new function returns [`Error::OtherShape`] for a value that is not of the type. It returns [`Error::NotJson`]
/// for a new value that JSON cannot hold. Both leave the session as it is.
pub fn change<T, E>(
    mut change: impl FnMut(Option<T>) -> Result<T, E>,
) -> impl FnMut(Option<String>) -> Result<String, E>
where
    T: Serialize + DeserializeOwned,
    E: From<Error>,
{
    move |text| {
        let value = text.as_deref().map(decode).transpose()?;
        Ok(encode(&change(value)?)?)
    }
}
