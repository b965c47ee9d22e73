//! An asynchronous store, waited for: so that the laws of `Now` and `Sessions` can be held against it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::channel;

use chrono::TimeDelta;
use diesel_session::{
    AsyncNow, AsyncSessions, Error, Now, OwnedSession, SessionCount, SessionHandle, SessionKey, Sessions,
};
use tokio::runtime::Runtime;

pub(crate) struct Waiting<S> {
    store: S,
    runtime: Runtime,
}

impl<S> Waiting<S> {
    pub(crate) fn new(store: S) -> Self {
        Self { store, runtime: runtime() }
    }

    /// A store that is made on the runtime.
    pub(crate) fn made(store: impl Future<Output = S>) -> Self {
        let runtime = runtime();
        Self { store: runtime.block_on(store), runtime }
    }

    pub(crate) fn store(&self) -> &S {
        &self.store
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// Two threads, a clock, sockets, and as many blocking threads as are asked for.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

macro_rules! wait {
    ($self:ident, $call:ident $(, $argument:expr)*) => {
        $self.runtime.block_on($self.store.$call($($argument),*))
    };
}

impl<S> Now for Waiting<S>
where
    S: AsyncNow<Key = SessionKey, Value = String, Period = TimeDelta, Error = Error>,
{
    type Key = SessionKey;
    type Value = String;
    type Period = TimeDelta;
    type Error = Error;

    fn default_period(&self) -> TimeDelta {
        self.store.default_period()
    }

    fn set_default_period(&self, period: TimeDelta) -> Result<(), Error> {
        self.store.set_default_period(period)
    }

    fn generate(&self, value: Option<String>, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        wait!(self, generate, value, expiry)
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        wait!(self, clear, key)
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        wait!(self, get, key)
    }

    fn set(&self, key: &SessionKey, value: String, expiry: Option<TimeDelta>) -> Result<(), Error> {
        wait!(self, set, key, value, expiry)
    }
}

/// What the caller's function said.
enum Answer {
    Value(String),
    Refused,
    Panic(Box<dyn Any + Send>),
}

enum Bridged {
    Store(Error),
    Refused,
}

impl From<Error> for Bridged {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl<S> Sessions for Waiting<S>
where
    S: AsyncSessions<Key = SessionKey, Value = String, Period = TimeDelta, Error = Error>,
    S: Clone + Send + Sync + 'static,
{
    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        wait!(self, rotate, key)
    }

    fn touch(&self, key: &SessionKey, expiry: Option<TimeDelta>) -> Result<bool, Error> {
        wait!(self, touch, key, expiry)
    }

    /// The law's function may borrow, so it runs here, and the store's asks for what it says.
    fn update<E: From<Error>>(
        &self,
        key: &SessionKey,
        expiry: Option<TimeDelta>,
        mut change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        let (ask, asked) = channel();
        let (answer, answers) = channel();
        let (store, key) = (self.store.clone(), *key);
        let change_there = move |value: Option<String>| {
            ask.send(value).unwrap();
            match answers.recv().unwrap() {
                Answer::Value(value) => Ok(value),
                Answer::Refused => Err(Bridged::Refused),
                Answer::Panic(panic) => resume_unwind(panic),
            }
        };
        let task = self.runtime.spawn(async move { store.update(&key, expiry, change_there).await });
        let mut refused = None;
        for value in asked {
            let made = match catch_unwind(AssertUnwindSafe(|| change(value))) {
                Ok(Ok(value)) => Answer::Value(value),
                Ok(Err(error)) => {
                    refused = Some(error);
                    Answer::Refused
                }
                Err(panic) => Answer::Panic(panic),
            };
            answer.send(made).unwrap();
        }
        match self.runtime.block_on(task) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Bridged::Store(error))) => Err(error.into()),
            Ok(Err(Bridged::Refused)) => Err(refused.unwrap()),
            Err(panicked) => resume_unwind(panicked.into_panic()),
        }
    }

    fn replace(
        &self,
        key: &SessionKey,
        expected: Option<String>,
        new: String,
        expiry: Option<TimeDelta>,
    ) -> Result<(), Error> {
        wait!(self, replace, key, expected, new, expiry)
    }

    fn generate_for(
        &self,
        owner: &str,
        value: Option<String>,
        expiry: Option<TimeDelta>,
    ) -> Result<SessionKey, Error> {
        wait!(self, generate_for, owner, value, expiry)
    }

    fn bind(&self, key: &SessionKey, owner: &str) -> Result<(), Error> {
        wait!(self, bind, key, owner)
    }

    fn owner_of(&self, key: &SessionKey) -> Result<Option<String>, Error> {
        wait!(self, owner_of, key)
    }

    fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Error> {
        wait!(self, sessions_of, owner, limit)
    }

    fn handle(&self, key: &SessionKey) -> SessionHandle {
        self.store.handle(key)
    }

    fn clear_owner(&self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error> {
        wait!(self, clear_owner, owner, keep)
    }

    fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Error> {
        wait!(self, clear_listed, owner, handle)
    }

    fn count(&self) -> Result<SessionCount, Error> {
        wait!(self, count)
    }

    fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        wait!(self, delete_expired, limit)
    }
}
