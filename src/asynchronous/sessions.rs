//! What applications ask of a store beyond `AsyncNow`.

use std::future::Future;

use super::AsyncNow;
use crate::owner::{OwnedSession, SessionCount, SessionHandle};

/// The twin of [`Sessions`](crate::Sessions): the same operations, each a future. What each does, and its errors,
/// stands there.
pub trait AsyncSessions: AsyncNow {
    /// [`Sessions::rotate`](crate::Sessions::rotate).
    fn rotate(&self, key: &Self::Key) -> impl Future<Output = Result<Self::Key, Self::Error>> + Send;

    /// [`Sessions::touch`](crate::Sessions::touch).
    fn touch(
        &self,
        key: &Self::Key,
        expiry: Option<Self::Period>,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// [`Sessions::update`](crate::Sessions::update). `change` is no future: a lock that waits for more than the
    /// database is held too long.
    fn update<E>(
        &self,
        key: &Self::Key,
        expiry: Option<Self::Period>,
        change: impl FnMut(Option<Self::Value>) -> Result<Self::Value, E> + Send + 'static,
    ) -> impl Future<Output = Result<Self::Value, E>> + Send
    where
        E: From<Self::Error> + Send + 'static;

    /// [`Sessions::replace`](crate::Sessions::replace).
    fn replace(
        &self,
        key: &Self::Key,
        expected: Option<Self::Value>,
        new: Self::Value,
        expiry: Option<Self::Period>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// [`Sessions::generate_for`](crate::Sessions::generate_for).
    fn generate_for(
        &self,
        owner: &str,
        value: Option<Self::Value>,
        expiry: Option<Self::Period>,
    ) -> impl Future<Output = Result<Self::Key, Self::Error>> + Send;

    /// [`Sessions::bind`](crate::Sessions::bind).
    fn bind(&self, key: &Self::Key, owner: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// [`Sessions::owner_of`](crate::Sessions::owner_of).
    fn owner_of(&self, key: &Self::Key) -> impl Future<Output = Result<Option<String>, Self::Error>> + Send;

    /// [`Sessions::sessions_of`](crate::Sessions::sessions_of).
    fn sessions_of(
        &self,
        owner: &str,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<OwnedSession>, Self::Error>> + Send;

    /// [`Sessions::handle`](crate::Sessions::handle), which asks no database.
    fn handle(&self, key: &Self::Key) -> SessionHandle;

    /// [`Sessions::clear_owner`](crate::Sessions::clear_owner).
    fn clear_owner(
        &self,
        owner: &str,
        keep: Option<&Self::Key>,
    ) -> impl Future<Output = Result<usize, Self::Error>> + Send;

    /// [`Sessions::clear_listed`](crate::Sessions::clear_listed).
    fn clear_listed(
        &self,
        owner: &str,
        handle: &SessionHandle,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// [`Sessions::count`](crate::Sessions::count).
    fn count(&self) -> impl Future<Output = Result<SessionCount, Self::Error>> + Send;

    /// [`Sessions::delete_expired`](crate::Sessions::delete_expired).
    fn delete_expired(&self, limit: u32) -> impl Future<Output = Result<usize, Self::Error>> + Send;
}
