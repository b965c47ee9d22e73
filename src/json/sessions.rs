//! What applications ask beyond `Now`, with typed values.

use std::error::Error as StdError;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Json, JsonError, from_text, to_text};
use crate::now::Now;
use crate::owner::{OwnedSession, SessionCount, SessionHandle};
use crate::sessions::Sessions;

/// Why an update beneath failed: by the store, or in here.
enum Beneath<S, E> {
    Store(S),
    Here(E),
}

impl<S, E> From<S> for Beneath<S, E> {
    fn from(error: S) -> Self {
        Self::Store(error)
    }
}

impl<S, T> Sessions for Json<S, T>
where
    S: Sessions<Value = String>,
    T: Serialize + DeserializeOwned,
{
    fn rotate(&self, key: &S::Key) -> Result<S::Key, Self::Error> {
        Ok(self.store.rotate(key)?)
    }

    fn touch(&self, key: &S::Key, expiry: Option<S::Period>) -> Result<bool, Self::Error> {
        Ok(self.store.touch(key, expiry)?)
    }

    fn update<E: From<Self::Error>>(
        &self,
        key: &S::Key,
        expiry: Option<S::Period>,
        mut change: impl FnMut(Option<T>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut made = None;
        let updated = self.store.update(key, expiry, |text: Option<String>| {
            let value = text.map(|text| from_text(&text)).transpose().map_err(theirs::<S, E>)?;
            let value = change(value).map_err(Beneath::Here)?;
            let text = to_text(&value).map_err(theirs::<S, E>)?;
            made = Some(value);
            Ok(text)
        });
        match (updated, made) {
            (Ok(_text), Some(value)) => Ok(value),
            // No store writes what nobody made.
            (Ok(_text), None) => Err(JsonError::Serialize.into()),
            (Err(Beneath::Store(error)), _) => Err(JsonError::Store(error).into()),
            (Err(Beneath::Here(error)), _) => Err(error),
        }
    }

    fn replace(
        &self,
        key: &S::Key,
        expected: Option<T>,
        new: T,
        expiry: Option<S::Period>,
    ) -> Result<(), Self::Error> {
        let mut expected = expected.as_ref().map(to_text).transpose()?;
        // The same value may have been written in other words: with spaces, or by an older version of its type.
        if let (Some(expected), Ok((text, _left))) = (&mut expected, self.store.get(key)) {
            let same = from_text::<T, S::Error>(&text).and_then(|value| to_text(&value));
            if same.is_ok_and(|same| same == *expected) {
                *expected = text;
            }
        }
        Ok(self.store.replace(key, expected, to_text(&new)?, expiry)?)
    }

    fn generate_for(
        &self,
        owner: &str,
        value: Option<T>,
        expiry: Option<S::Period>,
    ) -> Result<S::Key, Self::Error> {
        let text = value.as_ref().map(to_text).transpose()?;
        Ok(self.store.generate_for(owner, text, expiry)?)
    }

    fn bind(&self, key: &S::Key, owner: &str) -> Result<(), Self::Error> {
        Ok(self.store.bind(key, owner)?)
    }

    fn owner_of(&self, key: &S::Key) -> Result<Option<String>, Self::Error> {
        Ok(self.store.owner_of(key)?)
    }

    fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Self::Error> {
        Ok(self.store.sessions_of(owner, limit)?)
    }

    fn handle(&self, key: &S::Key) -> SessionHandle {
        self.store.handle(key)
    }

    fn clear_owner(&self, owner: &str, keep: Option<&S::Key>) -> Result<usize, Self::Error> {
        Ok(self.store.clear_owner(owner, keep)?)
    }

    fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Self::Error> {
        Ok(self.store.clear_listed(owner, handle)?)
    }

    fn count(&self) -> Result<SessionCount, Self::Error> {
        Ok(self.store.count()?)
    }

    fn delete_expired(&self, limit: u32) -> Result<usize, Self::Error> {
        Ok(self.store.delete_expired(limit)?)
    }
}

/// An error of this wrapper, as the caller's own.
fn theirs<S, E>(error: JsonError<S::Error>) -> Beneath<S::Error, E>
where
    S: Now,
    S::Error: StdError,
    E: From<JsonError<S::Error>>,
{
    Beneath::Here(error.into())
}
