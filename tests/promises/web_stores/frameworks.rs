//! One interface for both frameworks: the calls of their session stores.

use std::collections::HashMap;

use actix_session::storage::{SessionKey as CookieKey, SessionStore as _};
use diesel_session::{ActixSessionStore, Conflicts, SessionKey, TowerSessionStore, WebStore};
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};

/// A framework over a store. The field `user` is the owner, and the field `device` is the label.
pub(crate) trait Framework<W>: Sized {
    /// The content of the cookie.
    type Cookie: Clone + PartialEq + std::fmt::Debug + Send;
    /// A request's copy of its session.
    type Loaded: Clone + Send;

    /// Whether the framework tells a renewal from a logout.
    const TELLS: bool;

    fn over(store: W) -> Self;

    /// A store that leaves owners and labels as they are.
    fn without_owners(store: W) -> Self;

    fn rejecting(store: W) -> Self;

    /// Returns the key of a session.
    fn key(&self, cookie: &Self::Cookie) -> SessionKey;

    /// Begins a session that expires after `period`.
    async fn begin_for(&self, fields: &[(&str, Value)], period: Duration) -> Result<Self::Cookie, String>;

    /// Begins a session for an hour.
    async fn begin(&self, fields: &[(&str, Value)]) -> Self::Cookie {
        self.begin_for(fields, Duration::HOUR).await.unwrap()
    }

    async fn load(&self, cookie: &Self::Cookie) -> Option<Self::Loaded>;

    async fn field(&self, cookie: &Self::Cookie, name: &str) -> Option<Value> {
        let loaded = self.load(cookie).await?;
        Self::get(&loaded, name)
    }

    fn get(loaded: &Self::Loaded, name: &str) -> Option<Value>;

    /// Sets a field, or removes it.
    fn put(loaded: &mut Self::Loaded, name: &str, value: Option<Value>);

    /// Discards all fields.
    fn clear(loaded: &mut Self::Loaded);

    async fn save(&self, loaded: &Self::Loaded) -> Result<(), String>;

    async fn log_out(&self, cookie: &Self::Cookie) -> Result<(), String>;

    /// Does the first half of a renewal.
    async fn delete(&self, loaded: &Self::Loaded) -> Result<(), String>;

    /// Does the second half of a renewal.
    async fn create(&self, loaded: Self::Loaded) -> Result<Self::Cookie, String>;

    /// Does both halves.
    async fn renew(&self, loaded: Self::Loaded) -> Result<Self::Cookie, String> {
        self.delete(&loaded).await?;
        self.create(loaded).await
    }
}

pub(crate) struct Tower<W>(TowerSessionStore<W>);

impl<W: WebStore> Framework<W> for Tower<W> {
    type Cookie = Id;
    type Loaded = Record;

    const TELLS: bool = true;

    fn over(store: W) -> Self {
        Self(TowerSessionStore::new(store).owner_from("user").label_from("device"))
    }

    fn without_owners(store: W) -> Self {
        Self(TowerSessionStore::new(store))
    }

    fn rejecting(store: W) -> Self {
        let Self(store) = Self::over(store);
        Self(store.conflicts(Conflicts::Reject))
    }

    fn key(&self, cookie: &Id) -> SessionKey {
        self.0.key(cookie)
    }

    async fn begin_for(&self, fields: &[(&str, Value)], period: Duration) -> Result<Id, String> {
        let data = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let expiry_date = OffsetDateTime::now_utc() + period;
        self.create(Record { id: Id::default(), data, expiry_date }).await
    }

    async fn load(&self, cookie: &Id) -> Option<Record> {
        tower_sessions::SessionStore::load(&self.0, cookie).await.unwrap()
    }

    fn get(loaded: &Record, name: &str) -> Option<Value> {
        loaded.data.get(name).cloned()
    }

    fn put(loaded: &mut Record, name: &str, value: Option<Value>) {
        match value {
            Some(value) => loaded.data.insert(name.to_owned(), value),
            None => loaded.data.remove(name),
        };
    }

    fn clear(loaded: &mut Record) {
        loaded.data.clear();
    }

    async fn save(&self, loaded: &Record) -> Result<(), String> {
        tower_sessions::SessionStore::save(&self.0, loaded).await.map_err(|error| error.to_string())
    }

    async fn log_out(&self, cookie: &Id) -> Result<(), String> {
        tower_sessions::SessionStore::delete(&self.0, cookie).await.map_err(|error| error.to_string())
    }

    async fn delete(&self, loaded: &Record) -> Result<(), String> {
        self.log_out(&loaded.id).await
    }

    async fn create(&self, mut loaded: Record) -> Result<Id, String> {
        // As `Session::cycle_id` does.
        loaded.id = Id::default();
        let created = tower_sessions::SessionStore::create(&self.0, &mut loaded).await;
        created.map(|()| loaded.id).map_err(|error| error.to_string())
    }
}

pub(crate) struct Actix<W>(ActixSessionStore<W>);

/// A state, and the cookie with which it was loaded.
#[derive(Clone)]
pub(crate) struct State {
    cookie: String,
    fields: HashMap<String, String>,
    period: Duration,
}

fn cookie_key(cookie: &str) -> CookieKey {
    cookie.to_owned().try_into().unwrap()
}

impl<W: WebStore> Framework<W> for Actix<W> {
    type Cookie = String;
    type Loaded = State;

    const TELLS: bool = false;

    fn over(store: W) -> Self {
        Self(ActixSessionStore::new(store).owner_from("user").label_from("device"))
    }

    fn without_owners(store: W) -> Self {
        Self(ActixSessionStore::new(store))
    }

    fn rejecting(store: W) -> Self {
        let Self(store) = Self::over(store);
        Self(store.conflicts(Conflicts::Reject))
    }

    fn key(&self, cookie: &String) -> SessionKey {
        cookie.parse().unwrap()
    }

    async fn begin_for(&self, fields: &[(&str, Value)], period: Duration) -> Result<String, String> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        self.create(State { cookie: String::new(), fields, period }).await
    }

    async fn load(&self, cookie: &String) -> Option<State> {
        let fields = self.0.load(&cookie_key(cookie)).await.unwrap()?;
        Some(State { cookie: cookie.clone(), fields, period: Duration::HOUR })
    }

    fn get(loaded: &State, name: &str) -> Option<Value> {
        loaded.fields.get(name).map(|text| serde_json::from_str(text).unwrap())
    }

    fn put(loaded: &mut State, name: &str, value: Option<Value>) {
        match value {
            Some(value) => loaded.fields.insert(name.to_owned(), value.to_string()),
            None => loaded.fields.remove(name),
        };
    }

    fn clear(loaded: &mut State) {
        loaded.fields.clear();
    }

    async fn save(&self, loaded: &State) -> Result<(), String> {
        let saved = self.0.update(cookie_key(&loaded.cookie), loaded.fields.clone(), &loaded.period).await;
        saved.map(drop).map_err(|error| format!("{error:?}"))
    }

    async fn log_out(&self, cookie: &String) -> Result<(), String> {
        self.0.delete(&cookie_key(cookie)).await.map_err(|error| format!("{error:?}"))
    }

    async fn delete(&self, loaded: &State) -> Result<(), String> {
        self.log_out(&loaded.cookie).await
    }

    async fn create(&self, loaded: State) -> Result<String, String> {
        let saved = self.0.save(loaded.fields, &loaded.period).await;
        saved.map(|key| key.as_ref().to_owned()).map_err(|error| format!("{error:?}"))
    }
}
