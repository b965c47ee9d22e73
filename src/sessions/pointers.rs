//! Whatever points to a store is one.

use super::Sessions;
use crate::owner::{OwnedSession, SessionCount, SessionHandle};

macro_rules! through {
    ($pointer:ty) => {
        impl<S: Sessions> Sessions for $pointer {
            fn rotate(&self, key: &S::Key) -> Result<S::Key, S::Error> {
                (**self).rotate(key)
            }

            fn touch(&self, key: &S::Key, expiry: Option<S::Period>) -> Result<bool, S::Error> {
                (**self).touch(key, expiry)
            }

            fn update<E: From<S::Error>>(
                &self,
                key: &S::Key,
                expiry: Option<S::Period>,
                change: impl FnMut(Option<S::Value>) -> Result<S::Value, E>,
            ) -> Result<S::Value, E> {
                (**self).update(key, expiry, change)
            }

            fn replace(
                &self,
                key: &S::Key,
                expected: Option<S::Value>,
                new: S::Value,
                expiry: Option<S::Period>,
            ) -> Result<(), S::Error> {
                (**self).replace(key, expected, new, expiry)
            }

            fn generate_for(
                &self,
                owner: &str,
                value: Option<S::Value>,
                expiry: Option<S::Period>,
            ) -> Result<S::Key, S::Error> {
                (**self).generate_for(owner, value, expiry)
            }

            fn bind(&self, key: &S::Key, owner: &str) -> Result<(), S::Error> {
                (**self).bind(key, owner)
            }

            fn owner_of(&self, key: &S::Key) -> Result<Option<String>, S::Error> {
                (**self).owner_of(key)
            }

            fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, S::Error> {
                (**self).sessions_of(owner, limit)
            }

            fn handle(&self, key: &S::Key) -> SessionHandle {
                (**self).handle(key)
            }

            fn clear_owner(&self, owner: &str, keep: Option<&S::Key>) -> Result<usize, S::Error> {
                (**self).clear_owner(owner, keep)
            }

            fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, S::Error> {
                (**self).clear_listed(owner, handle)
            }

            fn count(&self) -> Result<SessionCount, S::Error> {
                (**self).count()
            }

            fn delete_expired(&self, limit: u32) -> Result<usize, S::Error> {
                (**self).delete_expired(limit)
            }
        }
    };
}

through!(&S);
through!(Box<S>);
through!(std::sync::Arc<S>);
