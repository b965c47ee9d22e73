//! Implements the asynchronous contracts for each store that runs any operation.

use std::future::Future;

use chrono::TimeDelta;

use super::{
    Bind, ClearAll, ClearListed, ClearOwner, Count, DeleteExpired, ExecuteAsync, Find, Generate, List,
    Replace, Rotate, SessionsOf, Set, SetLabel, Touch, Update, clear_handle, in_batches,
};
use crate::async_now::AsyncNow;
use crate::error::Error;
use crate::key::SessionKey;
use crate::page::{SessionCursor, SessionPage};
use crate::session::{Expiry, NewSession, OwnedSession, Session, SessionCount, SessionHandle};

/// The asynchronous twin of [`Sessions`](crate::Sessions): it has the same operations, and each is a future.
/// [`Sessions`](crate::Sessions) describes each operation and its errors.
///
/// Every asynchronous store of this crate implements it. Other crates cannot implement it.
pub trait AsyncSessions:
    AsyncNow<Key = SessionKey, Value = str, Period = TimeDelta, Error = Error> + ExecuteAsync
{
    /// Reads everything that is known of a live session: see [`Sessions::find`](crate::Sessions::find).
    fn find(&self, key: &SessionKey) -> impl Future<Output = Result<Session, Error>> + Send {
        self.read(Find::new(self.options(), key))
    }

    /// Writes a live session's value, and moves its expiry as asked: see [`Sessions::put`](crate::Sessions::put).
    fn put(
        &self,
        key: &SessionKey,
        value: &str,
        expiry: Expiry,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        self.execute(Set::new(self.options(), key, value, expiry))
    }

    /// Gives a live session a new key and returns the key: see [`Sessions::rotate`](crate::Sessions::rotate).
    fn rotate(&self, key: &SessionKey) -> impl Future<Output = Result<SessionKey, Error>> + Send {
        self.execute(Rotate::new(self.options(), key))
    }

    /// Extends a live session, and returns whether it wrote: see [`Sessions::touch`](crate::Sessions::touch).
    fn touch(&self, key: &SessionKey, expiry: Expiry) -> impl Future<Output = Result<bool, Error>> + Send {
        self.execute(Touch::new(self.options(), key, expiry))
    }

    /// Replaces a live session's value with the result of `change`: see [`Sessions::update`](crate::Sessions::update).
    /// `change` is not a future, because it may run under a lock. If it waited for more than the database, it would
    /// hold the lock too long.
    fn update<E>(
        &self,
        key: &SessionKey,
        expiry: Expiry,
        change: impl FnMut(Option<String>) -> Result<String, E> + Send + 'static,
    ) -> impl Future<Output = Result<String, E>> + Send
    where
        E: From<Error> + Send + 'static,
    {
        self.execute_update(Update::new(self.options(), key, expiry), change)
    }

    /// Writes a live session's value if the present one is as expected: see
    /// [`Sessions::replace`](crate::Sessions::replace).
    fn replace(
        &self,
        key: &SessionKey,
        expected: Option<&str>,
        new: &str,
        expiry: Expiry,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        self.execute(Replace::new(self.options(), key, expected, new, expiry))
    }

    /// Starts a session with an owner, a label, or both: see
    /// [`Sessions::generate_with`](crate::Sessions::generate_with).
    fn generate_with(
        &self,
        session: &NewSession<'_>,
    ) -> impl Future<Output = Result<SessionKey, Error>> + Send {
        self.execute(Generate::new(self.options(), session))
    }

    /// Starts a session of an owner: see [`Sessions::generate_for`](crate::Sessions::generate_for).
    fn generate_for(
        &self,
        owner: &str,
        value: Option<&str>,
        period: Option<TimeDelta>,
    ) -> impl Future<Output = Result<SessionKey, Error>> + Send {
        let session = NewSession { value, period, ..NewSession::new().owner(owner) };
        self.execute(Generate::new(self.options(), &session))
    }

    /// Gives a live session an owner: see [`Sessions::bind`](crate::Sessions::bind).
    fn bind(&self, key: &SessionKey, owner: &str) -> impl Future<Output = Result<(), Error>> + Send {
        self.execute(Bind::new(self.options(), key, owner))
    }

    /// Gives a live session a label, or none: see [`Sessions::set_label`](crate::Sessions::set_label).
    fn set_label(
        &self,
        key: &SessionKey,
        label: Option<&str>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        self.execute(SetLabel::new(self.options(), key, label))
    }

    /// Lists an owner's live sessions, the newest first: see [`Sessions::sessions_of`](crate::Sessions::sessions_of).
    fn sessions_of(
        &self,
        owner: &str,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<OwnedSession>, Error>> + Send {
        self.execute(SessionsOf::new(owner, limit))
    }

    /// Returns the handle of this key's session: see [`Sessions::handle`](crate::Sessions::handle). It does not ask the
    /// database.
    fn handle(&self, key: &SessionKey) -> SessionHandle {
        self.options().handle(key)
    }

    /// Ends an owner's sessions except the one to keep: see [`Sessions::clear_owner`](crate::Sessions::clear_owner).
    fn clear_owner(
        &self,
        owner: &str,
        keep: Option<&SessionKey>,
    ) -> impl Future<Output = Result<usize, Error>> + Send {
        in_batches(ClearOwner::new(self.options(), owner, keep), |batch| self.execute(batch))
    }

    /// Ends an owner's sessions except the one of this handle: see
    /// [`Sessions::clear_others`](crate::Sessions::clear_others).
    fn clear_others(
        &self,
        owner: &str,
        keep: &SessionHandle,
    ) -> impl Future<Output = Result<usize, Error>> + Send {
        in_batches(ClearOwner::but(owner, keep), |batch| self.execute(batch))
    }

    /// Ends the owner's live session of this handle: see [`Sessions::clear_listed`](crate::Sessions::clear_listed).
    fn clear_listed(
        &self,
        owner: &str,
        handle: &SessionHandle,
    ) -> impl Future<Output = Result<bool, Error>> + Send {
        self.execute(ClearListed::new(owner, handle))
    }

    /// Lists one page of live sessions: see [`Sessions::list`](crate::Sessions::list).
    fn list(
        &self,
        owner: Option<&str>,
        after: Option<&SessionCursor>,
        limit: u32,
    ) -> impl Future<Output = Result<SessionPage, Error>> + Send {
        self.execute(List::new(owner, after, limit))
    }

    /// Ends the live session of this handle: see [`Sessions::clear_handle`](crate::Sessions::clear_handle).
    fn clear_handle(&self, handle: &SessionHandle) -> impl Future<Output = Result<bool, Error>> + Send {
        clear_handle(handle, |part| self.execute(part))
    }

    /// Ends every session: see [`Sessions::clear_all`](crate::Sessions::clear_all).
    fn clear_all(&self) -> impl Future<Output = Result<usize, Error>> + Send {
        in_batches(Ok(ClearAll::new()), |batch| self.execute(batch))
    }

    /// Counts live and expired sessions: see [`Sessions::count`](crate::Sessions::count).
    fn count(&self) -> impl Future<Output = Result<SessionCount, Error>> + Send {
        self.execute(Ok(Count))
    }

    /// Deletes at most `limit` expired sessions: see [`Sessions::delete_expired`](crate::Sessions::delete_expired).
    fn delete_expired(&self, limit: u32) -> impl Future<Output = Result<usize, Error>> + Send {
        self.execute(Ok(DeleteExpired { limit }))
    }
}

/// Implements [`AsyncNow`] and [`AsyncSessions`] for a store that implements [`ExecuteAsync`]:
/// `async_contracts!(Store<P>, P: AsyncPool)`.
#[cfg(feature = "tokio")]
macro_rules! async_contracts {
    ($store:ty $(, $($generics:tt)*)?) => {
        const _: () = {
            use chrono::TimeDelta;

            use $crate::async_now::AsyncNow;
            use $crate::error::Error;
            use $crate::key::SessionKey;
            use $crate::operations::{AsyncSessions, Clear, ExecuteAsync, Get};
            use $crate::session::NewSession;

            impl$(<$($generics)*>)? AsyncNow for $store {
                type Key = SessionKey;
                type Value = str;
                type Period = TimeDelta;
                type Error = Error;

                fn default_period(&self) -> TimeDelta {
                    self.options().default_period()
                }

                fn set_default_period(&self, period: TimeDelta) -> Result<(), Error> {
                    self.options().set_default_period(period)
                }

                async fn generate(
                    &self,
                    value: Option<&str>,
                    expiry: Option<TimeDelta>,
                ) -> Result<SessionKey, Error> {
                    self.generate_with(&NewSession { value, period: expiry, ..NewSession::new() }).await
                }

                async fn clear(&self, key: &SessionKey) -> Result<(), Error> {
                    self.execute(Ok(Clear::new(self.options(), key))).await
                }

                async fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
                    self.read(Get::new(self.options(), key)).await
                }

                async fn set(
                    &self,
                    key: &SessionKey,
                    value: &str,
                    expiry: Option<TimeDelta>,
                ) -> Result<(), Error> {
                    self.put(key, value, expiry.into()).await
                }
            }

            impl$(<$($generics)*>)? AsyncSessions for $store {}
        };
    };
}
#[cfg(feature = "tokio")]
pub(crate) use async_contracts;
