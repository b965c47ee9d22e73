//! The stores that the load uses.

use std::sync::Arc;

use diesel_session::{
    AsyncDieselSession, AsyncNow, AsyncSessions, Error, Expiry, Now, SessionKey, Sessions, Sweeper, TimeDelta,
};
use tokio::runtime::Runtime;

/// The calls that the load makes. Each one is the crate's method of the same name.
pub trait Target: Send + Sync {
    /// [`Now::generate`].
    fn generate(&self, value: &str, expiry: Option<TimeDelta>) -> Result<SessionKey, Error>;
    /// [`Now::get`].
    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error>;
    /// [`Now::set`].
    fn set(&self, key: &SessionKey, value: &str) -> Result<(), Error>;
    /// [`Sessions::update`] to a value that does not depend on the old one.
    fn update(&self, key: &SessionKey, value: &str) -> Result<(), Error>;
    /// [`Sessions::update`] of a number to the next number.
    fn count(&self, key: &SessionKey) -> Result<(), Error>;
    /// [`Sessions::replace`].
    fn replace(&self, key: &SessionKey, expected: &str, value: &str) -> Result<(), Error>;
    /// [`Sessions::touch`].
    fn touch(&self, key: &SessionKey, expiry: Expiry) -> Result<(), Error>;
    /// [`Sessions::rotate`].
    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error>;
    /// [`Now::clear`].
    fn clear(&self, key: &SessionKey) -> Result<(), Error>;
    /// [`Sessions::count`], only of live sessions.
    fn live(&self) -> Result<u64, Error>;
    /// Starts a sweeper over this store that sweeps several times a second.
    fn sweeper(&self) -> Result<Sweeper, Error>;
}

/// Returns the next number. A value that is not a number starts again at 0, which the ledger notices.
fn next(number: Option<String>) -> String {
    let number: u64 = number.and_then(|number| number.parse().ok()).unwrap_or(0);
    (number + 1).to_string()
}

const SWEEP: TimeDelta = TimeDelta::milliseconds(200);

impl<S> Target for S
where
    S: Sessions + Clone + Send + Sync + 'static,
{
    fn generate(&self, value: &str, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        Now::generate(self, Some(value), expiry)
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        Now::get(self, key)
    }

    fn set(&self, key: &SessionKey, value: &str) -> Result<(), Error> {
        Now::set(self, key, value, None)
    }

    fn update(&self, key: &SessionKey, value: &str) -> Result<(), Error> {
        Sessions::update(self, key, Expiry::Default, |_| Ok::<_, Error>(value.to_owned())).map(drop)
    }

    fn count(&self, key: &SessionKey) -> Result<(), Error> {
        Sessions::update(self, key, Expiry::Default, |number| Ok::<_, Error>(next(number))).map(drop)
    }

    fn replace(&self, key: &SessionKey, expected: &str, value: &str) -> Result<(), Error> {
        Sessions::replace(self, key, Some(expected), value, Expiry::Default)
    }

    fn touch(&self, key: &SessionKey, expiry: Expiry) -> Result<(), Error> {
        Sessions::touch(self, key, expiry).map(drop)
    }

    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        Sessions::rotate(self, key)
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        Now::clear(self, key)
    }

    fn live(&self) -> Result<u64, Error> {
        Sessions::count(self).map(|count| count.live)
    }

    fn sweeper(&self) -> Result<Sweeper, Error> {
        Sweeper::builder(self.clone()).interval(SWEEP).jitter(TimeDelta::zero()).start()
    }
}

/// An asynchronous store. The load's threads block until its calls have ended.
#[derive(Clone)]
pub(crate) struct Waited {
    pub(crate) store: AsyncDieselSession,
    pub(crate) runtime: Arc<Runtime>,
}

impl Target for Waited {
    fn generate(&self, value: &str, expiry: Option<TimeDelta>) -> Result<SessionKey, Error> {
        self.runtime.block_on(self.store.generate(Some(value), expiry))
    }

    fn get(&self, key: &SessionKey) -> Result<(String, TimeDelta), Error> {
        self.runtime.block_on(self.store.get(key))
    }

    fn set(&self, key: &SessionKey, value: &str) -> Result<(), Error> {
        self.runtime.block_on(self.store.set(key, value, None))
    }

    fn update(&self, key: &SessionKey, value: &str) -> Result<(), Error> {
        let value = value.to_owned();
        let change = move |_| Ok::<_, Error>(value.clone());
        self.runtime.block_on(self.store.update(key, Expiry::Default, change)).map(drop)
    }

    fn count(&self, key: &SessionKey) -> Result<(), Error> {
        let change = |number| Ok::<_, Error>(next(number));
        self.runtime.block_on(self.store.update(key, Expiry::Default, change)).map(drop)
    }

    fn replace(&self, key: &SessionKey, expected: &str, value: &str) -> Result<(), Error> {
        self.runtime.block_on(self.store.replace(key, Some(expected), value, Expiry::Default))
    }

    fn touch(&self, key: &SessionKey, expiry: Expiry) -> Result<(), Error> {
        self.runtime.block_on(self.store.touch(key, expiry)).map(drop)
    }

    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        self.runtime.block_on(self.store.rotate(key))
    }

    fn clear(&self, key: &SessionKey) -> Result<(), Error> {
        self.runtime.block_on(self.store.clear(key))
    }

    fn live(&self) -> Result<u64, Error> {
        self.runtime.block_on(self.store.count()).map(|count| count.live)
    }

    fn sweeper(&self) -> Result<Sweeper, Error> {
        let _entered = self.runtime.enter();
        Sweeper::builder_async(self.store.clone()).interval(SWEEP).jitter(TimeDelta::zero()).start()
    }
}
