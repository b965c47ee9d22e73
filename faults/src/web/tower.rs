//! The load through tower-sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use diesel_session::{SessionKey, TowerSessionStore, WebStore};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::Result as StoreResult;

use super::{FIELD, Framework, LIFE, Refusal, Request, Site};

pub(super) struct Tower<S> {
    pub(super) store: TowerSessionStore<S>,
    pub(super) runtime: Arc<Runtime>,
}

impl<S: WebStore> Tower<S> {
    /// Waits for a call. tower-sessions keeps only the text of an error, so this takes the error from `on_error`.
    fn wait<T>(&self, call: impl AsyncFnOnce(TowerSessionStore<S>) -> StoreResult<T>) -> Result<T, Refusal> {
        let told = Arc::new(Mutex::new(None));
        let listener = told.clone();
        let store = self.store.clone().on_error(move |error| {
            *listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(Refusal::of(error));
        });
        self.runtime.block_on(call(store)).map_err(|error| {
            let told = told.lock().unwrap_or_else(PoisonError::into_inner).take();
            told.unwrap_or_else(|| Refusal::unexpected(error))
        })
    }

    fn create(&self, mut record: Record) -> Result<String, Refusal> {
        self.wait(async |store| store.create(&mut record).await)?;
        Ok(record.id.to_string())
    }
}

/// The layer's state between two calls. The record has its own id, by which the store knows what was loaded.
struct Loaded<'a, S> {
    site: &'a Tower<S>,
    record: Record,
}

fn id(cookie: &str) -> Result<Id, Refusal> {
    cookie.parse().map_err(Refusal::unexpected)
}

/// Changes the value, as a handler does, and the expiry, as the layer does.
fn change(record: &mut Record, value: &str) {
    record.data.insert(FIELD.to_owned(), Value::String(value.to_owned()));
    record.expiry_date = OffsetDateTime::now_utc() + time::Duration::days(LIFE.num_days());
}

impl<S: WebStore + Sync> Site for Tower<S> {
    fn framework(&self) -> Framework {
        Framework::TowerSessions
    }

    fn key(&self, cookie: &str) -> Result<SessionKey, Refusal> {
        Ok(self.store.key(&id(cookie)?))
    }

    fn begin(&self, value: &str) -> Result<String, Refusal> {
        let mut record =
            Record { id: Id::default(), data: HashMap::new(), expiry_date: OffsetDateTime::UNIX_EPOCH };
        change(&mut record, value);
        self.create(record)
    }

    fn load(&self, cookie: &str) -> Result<Box<dyn Request + '_>, Refusal> {
        let id = id(cookie)?;
        let record = self.wait(async |store| store.load(&id).await)?.ok_or(Refusal::Gone)?;
        Ok(Box::new(Loaded { site: self, record }))
    }

    /// Does what `Session::flush` does.
    fn log_out(&self, cookie: &str) -> Result<(), Refusal> {
        let id = id(cookie)?;
        self.wait(async |store| store.delete(&id).await)
    }
}

impl<S: WebStore + Sync> Request for Loaded<'_, S> {
    fn value(&self) -> Option<String> {
        self.record.data.get(FIELD)?.as_str().map(str::to_owned)
    }

    fn save(mut self: Box<Self>, value: &str) -> Result<(), Refusal> {
        change(&mut self.record, value);
        self.site.wait(async |store| store.save(&self.record).await)
    }

    /// Does what `Session::cycle_id` does, and what the layer does after the handler.
    fn log_in(mut self: Box<Self>, value: &str, handler: Duration) -> Result<String, Refusal> {
        self.site.wait(async |store| store.delete(&self.record.id).await)?;
        sleep(handler);
        self.record.id = Id::default();
        change(&mut self.record, value);
        self.site.create(self.record)
    }
}
