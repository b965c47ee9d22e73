//! The contracts: each call goes to its operation.

use chrono::TimeDelta;

use super::DieselSession;
use crate::backend::SessionConnection;
use crate::backend::blocking::outcome;
use crate::calls;
use crate::error::Error;
use crate::key::SessionKey;
use crate::now::Now;
use crate::operations::{
    Bind, Clear, ClearListed, ClearOwner, Count, DeleteExpired, Generate, Get, OwnerOf, Replace, Rotate,
    SessionsOf, Set, Touch, Update,
};
use crate::owner::{OwnedSession, SessionCount, SessionHandle};
use crate::sessions::Sessions;

impl<C: SessionConnection> Now for DieselSession<C> {
    type Key = SessionKey;
    type Value = String;
    type Period = TimeDelta;
    type Error = Error;

    fn default_period(&self) -> TimeDelta {
        self.rules.default_period()
    }

    fn set_default_period(&self, period: TimeDelta) -> Result<(), Error> {
        self.rules.set_default_period(period)
    }

    fn generate(&self, value: Option<String>, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        self.call(Generate::new(&self.rules, None, value, None, expiry))
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        self.call(Ok(Clear::new(&self.rules, key)))
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        self.call(Ok(Get::new(&self.rules, key)))
    }

    fn set(&self, key: &SessionKey, value: String, expiry: Option<TimeDelta>) -> Result<(), Error> {
        self.call(Set::new(&self.rules, key, value, expiry))
    }
}

impl<C: SessionConnection> Sessions for DieselSession<C> {
    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        self.call(Rotate::new(&self.rules, key))
    }

    fn touch(&self, key: &SessionKey, expiry: Option<TimeDelta>) -> Result<bool, Error> {
        self.call(Touch::new(&self.rules, key, expiry))
    }

    fn update<E: From<Error>>(
        &self,
        key: &SessionKey,
        expiry: Option<TimeDelta>,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        let update = Update::new(&self.rules, key, expiry);
        outcome(calls::call_update(self, &self.rules, update, change))
    }

    fn replace(
        &self,
        key: &SessionKey,
        expected: Option<String>,
        new: String,
        expiry: Option<TimeDelta>,
    ) -> Result<(), Error> {
        self.call(Replace::new(&self.rules, key, expected, new, expiry))
    }

    fn generate_for(
        &self,
        owner: &str,
        value: Option<String>,
        expiry: Option<TimeDelta>,
    ) -> Result<SessionKey, Error> {
        self.call(Generate::new(&self.rules, Some(owner), value, None, expiry))
    }

    fn bind(&self, key: &SessionKey, owner: &str) -> Result<(), Error> {
        self.call(Bind::new(&self.rules, key, owner))
    }

    fn owner_of(&self, key: &SessionKey) -> Result<Option<String>, Error> {
        self.call(Ok(OwnerOf::new(&self.rules, key)))
    }

    fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Error> {
        self.call(SessionsOf::new(owner, limit))
    }

    fn handle(&self, key: &SessionKey) -> SessionHandle {
        self.rules.handle(key)
    }

    fn clear_owner(&self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error> {
        outcome(calls::clear_owner(self, ClearOwner::new(&self.rules, owner, keep)))
    }

    fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Error> {
        self.call(ClearListed::new(owner, handle))
    }

    fn count(&self) -> Result<SessionCount, Error> {
        self.call(Ok(Count))
    }

    fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        self.call(Ok(DeleteExpired { limit }))
    }
}
