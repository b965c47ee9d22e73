//! Typed values, kept as JSON, on any store: these functions make a value's text and read it (feature `json`).
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

/// The text of a value.
///
/// # Errors
///
/// [`Error::NotJson`] for a value that JSON cannot hold, for example a map with keys that are no strings.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    // serde_json's own error may quote the value.
    serde_json::to_string(value).map_err(|_| Error::NotJson)
}

/// The value of a text.
///
/// # Errors
///
/// [`Error::OtherShape`] for a text that is no JSON, or not that of a `T`. The error shows nothing of the text.
pub fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    // serde_json's own error quotes the value.
    serde_json::from_str(text)
        .map_err(|error| Error::OtherShape { line: error.line(), column: error.column() })
}

/// Turns a function over typed values into one for [`Sessions::update`](crate::Sessions::update). Its errors are
/// [`Error::OtherShape`] for a value that is not of the type, and [`Error::NotJson`] for a new one that cannot be written as
/// JSON. Both leave the session as it is.
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
