//! Implements the blocking contracts for each store that runs any operation.

/// Implements [`Now`](crate::Now) and [`Sessions`](crate::Sessions) for a store that implements
/// [`Execute`](super::Execute): `contracts!(Store<C>, C: SessionConnection)`.
///
/// It is not a blanket implementation. Otherwise the compiler's errors would name a trait that users cannot see, and
/// rustdoc would hide the methods among Diesel's.
macro_rules! contracts {
    ($store:ty $(, $($generics:tt)*)?) => {
        const _: () = {
            use chrono::TimeDelta;

            use $crate::error::Error;
            use $crate::key::SessionKey;
            use $crate::now::Now;
            use $crate::operations::{Clear, Execute, Get};
            use $crate::session::NewSession;
            use $crate::sessions::Sessions;

            impl$(<$($generics)*>)? Now for $store {
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

                fn generate(
                    &self,
                    value: Option<&str>,
                    expiry: Option<TimeDelta>,
                ) -> Result<SessionKey, Error> {
                    self.generate_with(&NewSession { value, period: expiry, ..NewSession::new() })
                }

                fn clear(&self, key: &SessionKey) -> Result<(), Error> {
                    self.execute(Ok(Clear::new(self.options(), key)))
                }

                fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
                    self.read(Get::new(self.options(), key))
                }

                fn set(&self, key: &SessionKey, value: &str, expiry: Option<TimeDelta>) -> Result<(), Error> {
                    self.put(key, value, expiry.into())
                }
            }
        };
        $crate::operations::sessions_by_execute!($store $(, $($generics)*)?);
    };
}

/// The second half of [`contracts!`]. Pointers to a store need only this half, because they implement
/// [`Now`](crate::Now) for any store.
macro_rules! sessions_by_execute {
    ($store:ty $(, $($generics:tt)*)?) => {
        const _: () = {
            use chrono::TimeDelta;

            use $crate::database::now_or_never;
            use $crate::error::Error;
            use $crate::key::SessionKey;
            use $crate::page::{SessionCursor, SessionPage};
            use $crate::operations::{
                Bind, ClearAll, ClearListed, ClearOwner, Count, DeleteExpired, Execute, Find, Generate, List,
                Replace, Rotate, SessionsOf, Set, SetLabel, Touch, Update, clear_handle, in_batches,
            };
            use $crate::session::{
                Expiry, NewSession, OwnedSession, Session, SessionCount, SessionHandle,
            };
            use $crate::sessions::{Sealed, Sessions};

            impl$(<$($generics)*>)? Sealed for $store {}

            impl$(<$($generics)*>)? Sessions for $store {
                fn find(&self, key: &SessionKey) -> Result<Session, Error> {
                    self.read(Find::new(self.options(), key))
                }

                fn put(&self, key: &SessionKey, value: &str, expiry: Expiry) -> Result<(), Error> {
                    self.execute(Set::new(self.options(), key, value, expiry))
                }

                fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
                    self.execute(Rotate::new(self.options(), key))
                }

                fn touch(&self, key: &SessionKey, expiry: Expiry) -> Result<bool, Error> {
                    self.execute(Touch::new(self.options(), key, expiry))
                }

                fn update<E: From<Error>>(
                    &self,
                    key: &SessionKey,
                    expiry: Expiry,
                    change: impl FnMut(Option<String>) -> Result<String, E>,
                ) -> Result<String, E> {
                    self.execute_update(Update::new(self.options(), key, expiry), change)
                }

                fn replace(
                    &self,
                    key: &SessionKey,
                    expected: Option<&str>,
                    new: &str,
                    expiry: Expiry,
                ) -> Result<(), Error> {
                    self.execute(Replace::new(self.options(), key, expected, new, expiry))
                }

                fn generate_with(&self, session: &NewSession<'_>) -> Result<SessionKey, Error> {
                    self.execute(Generate::new(self.options(), session))
                }

                fn generate_for(
                    &self,
                    owner: &str,
                    value: Option<&str>,
                    period: Option<TimeDelta>,
                ) -> Result<SessionKey, Error> {
                    self.generate_with(&NewSession { value, period, ..NewSession::new().owner(owner) })
                }

                fn bind(&self, key: &SessionKey, owner: &str) -> Result<(), Error> {
                    self.execute(Bind::new(self.options(), key, owner))
                }

                fn set_label(&self, key: &SessionKey, label: Option<&str>) -> Result<(), Error> {
                    self.execute(SetLabel::new(self.options(), key, label))
                }

                fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Error> {
                    self.execute(SessionsOf::new(owner, limit))
                }

                fn handle(&self, key: &SessionKey) -> SessionHandle {
                    self.options().handle(key)
                }

                fn clear_owner(&self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error> {
                    let first = ClearOwner::new(self.options(), owner, keep);
                    now_or_never(in_batches(first, async |batch| self.execute(batch)))
                }

                fn clear_others(&self, owner: &str, keep: &SessionHandle) -> Result<usize, Error> {
                    let first = ClearOwner::but(owner, keep);
                    now_or_never(in_batches(first, async |batch| self.execute(batch)))
                }

                fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Error> {
                    self.execute(ClearListed::new(owner, handle))
                }

                fn list(
                    &self,
                    owner: Option<&str>,
                    after: Option<&SessionCursor>,
                    limit: u32,
                ) -> Result<SessionPage, Error> {
                    self.execute(List::new(owner, after, limit))
                }

                fn clear_handle(&self, handle: &SessionHandle) -> Result<bool, Error> {
                    now_or_never(clear_handle(handle, async |part| self.execute(part)))
                }

                fn clear_all(&self) -> Result<usize, Error> {
                    now_or_never(in_batches(Ok(ClearAll::new()), async |batch| self.execute(batch)))
                }

                fn count(&self) -> Result<SessionCount, Error> {
                    self.execute(Ok(Count))
                }

                fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
                    self.execute(Ok(DeleteExpired { limit }))
                }
            }
        };
    };
}
pub(crate) use {contracts, sessions_by_execute};

sessions_by_execute!(&S, S: Execute + Sessions);
sessions_by_execute!(Box<S>, S: Execute + Sessions);
sessions_by_execute!(std::sync::Arc<S>, S: Execute + Sessions);
