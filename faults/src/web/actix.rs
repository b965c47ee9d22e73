//! The load through actix-session.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use actix_session::storage::{SessionKey as CookieKey, SessionStore};
use anyhow::Result as AnyResult;
use diesel_session::{ActixSessionStore, Error, SessionKey, WebStore};
use tokio::runtime::Runtime;

use super::{FIELD, Framework, LIFE, Refusal, Request, Site};

/// The state of a session: JSON values by name.
type State = HashMap<String, String>;

const TTL: time::Duration = time::Duration::days(LIFE.num_days());

pub(super) struct Actix<S> {
    pub(super) store: ActixSessionStore<S>,
    pub(super) runtime: Arc<Runtime>,
}

impl<S: WebStore> Actix<S> {
    fn wait<T>(&self, call: impl Future<Output = AnyResult<T>>) -> Result<T, Refusal> {
        self.runtime.block_on(call).map_err(|error| {
            let of_the_store = error.chain().find_map(|cause| cause.downcast_ref::<Error>());
            of_the_store.map_or_else(|| Refusal::unexpected(&error), Refusal::of)
        })
    }

    fn create(&self, state: State) -> Result<String, Refusal> {
        self.wait(async { Ok(self.store.save(state, &TTL).await?) }).map(|key| key.as_ref().to_owned())
    }

    fn delete(&self, key: &CookieKey) -> Result<(), Refusal> {
        self.wait(self.store.delete(key))
    }
}

/// The middleware's state between two calls.
struct Loaded<'a, S> {
    site: &'a Actix<S>,
    key: CookieKey,
    state: State,
}

fn cookie_key(cookie: &str) -> Result<CookieKey, Refusal> {
    cookie.to_owned().try_into().map_err(Refusal::unexpected)
}

fn change(mut state: State, value: &str) -> State {
    state.insert(FIELD.to_owned(), serde_json::json!(value).to_string());
    state
}

impl<S: WebStore + Sync> Site for Actix<S> {
    fn framework(&self) -> Framework {
        Framework::ActixSession
    }

    fn key(&self, cookie: &str) -> Result<SessionKey, Refusal> {
        cookie.parse().map_err(Refusal::unexpected)
    }

    fn begin(&self, value: &str) -> Result<String, Refusal> {
        self.create(change(State::new(), value))
    }

    fn load(&self, cookie: &str) -> Result<Box<dyn Request + '_>, Refusal> {
        let key = cookie_key(cookie)?;
        let state = self.wait(async { Ok(self.store.load(&key).await?) })?.ok_or(Refusal::Gone)?;
        Ok(Box::new(Loaded { site: self, key, state }))
    }

    /// Does what the middleware does after `Session::purge`.
    fn log_out(&self, cookie: &str) -> Result<(), Refusal> {
        self.delete(&cookie_key(cookie)?)
    }
}

impl<S: WebStore + Sync> Request for Loaded<'_, S> {
    fn value(&self) -> Option<String> {
        serde_json::from_str(self.state.get(FIELD)?).ok()
    }

    fn save(self: Box<Self>, value: &str) -> Result<(), Refusal> {
        let Self { site, key, state } = *self;
        site.wait(async { Ok(site.store.update(key, change(state, value), &TTL).await?) }).map(drop)
    }

    /// Does what the middleware does after `Session::renew`, with the handler in between, which leaves time for faults.
    fn log_in(self: Box<Self>, value: &str, handler: Duration) -> Result<String, Refusal> {
        self.site.delete(&self.key)?;
        sleep(handler);
        self.site.create(change(self.state, value))
    }
}
