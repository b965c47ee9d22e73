//! `AsyncDieselSession` and `Blocking`, called from tasks through `AsyncNow`, and the first one also through
//! tower-sessions' trait.

use std::rc::Rc;

use anyhow::Result;
use bench_measure::PERIOD;
use bench_measure::tasks::{Store, filled};
use bench_measure::tower_sessions::Recorded;
use diesel::{PgConnection, SqliteConnection};
use diesel_session::{
    AsyncDieselSession, AsyncSessions, Blocking, DieselSession, SessionKey, TimeDelta, TowerSessionStore,
};
use tokio::runtime::Runtime;
use tower_sessions_core_0_15::session::{Id, Record};

use super::diesel_session::{Table, fill, insert_keys, store_in};
use super::tasks::Tasks;
use super::{Name, POOL};
use crate::server::{Database, File};

/// How many of the pool's connections reads share.
pub(crate) const PIPELINED: u32 = 4;

/// A store with `AsyncNow`, and the value that it writes.
#[derive(Clone)]
pub(crate) struct Native<S> {
    store: S,
    value: String,
    period: TimeDelta,
}

impl<S> Native<S> {
    fn new(store: S, value: &str) -> Result<Self> {
        Ok(Self { store, value: value.to_owned(), period: TimeDelta::from_std(PERIOD)? })
    }
}

impl<S: AsyncSessions + Clone + Send + Sync + 'static> Store for Native<S> {
    type Key = SessionKey;

    async fn get(&self, key: &SessionKey) -> Result<()> {
        Ok(self.store.get(key).await.map(drop)?)
    }

    async fn set(&mut self, key: &SessionKey) -> Result<()> {
        Ok(self.store.set(key, &self.value, Some(self.period)).await?)
    }

    async fn visit(&mut self, key: &SessionKey) -> Result<()> {
        self.get(key).await?;
        self.set(key).await
    }

    async fn generate(&self) -> Result<SessionKey> {
        Ok(self.store.generate(Some(&self.value), Some(self.period)).await?)
    }

    async fn clear(&self, key: &SessionKey) -> Result<()> {
        Ok(self.store.clear(key).await?)
    }
}

/// `Blocking` with its default settings.
impl Tasks<Native<Blocking<DieselSession<PgConnection>>>, Database> {
    pub(crate) fn blocking(table: Rc<Table<Database>>, value: &str) -> Result<Self> {
        let builder = DieselSession::<PgConnection>::builder().pool_size(POOL).min_idle(POOL);
        let store = Blocking::from(builder.connect(&table.database.url)?);
        Ok(Self::new(Name::Blocking, Native::new(store, value)?, table, Runtime::new()?))
    }
}

impl Tasks<Native<AsyncDieselSession>, Database> {
    pub(crate) fn native(name: Name, table: Rc<Table<Database>>, value: &str) -> Result<Self> {
        let runtime = Runtime::new()?;
        let pipelined = name == Name::AsyncPipelined;
        let store = runtime.block_on(connect(&table.database, pipelined))?;
        Ok(Self::new(name, Native::new(store, value)?, table, runtime))
    }
}

/// `TowerSessionStore` and the record that it writes.
pub(crate) type Tower = Recorded<TowerSessionStore<AsyncDieselSession>, Record>;

impl Tasks<Tower, Database> {
    pub(crate) fn tower(name: Name, table: Rc<Table<Database, Id>>, value: &str) -> Result<Self> {
        let runtime = Runtime::new()?;
        let pipelined = name == Name::TowerPipelined;
        let store = TowerSessionStore::new(runtime.block_on(connect(&table.database, pipelined))?);
        Ok(Self::new(name, Recorded { store, record: Tower::record(value)? }, table, runtime))
    }
}

type TowerOnSqlite = Recorded<TowerSessionStore<Blocking<DieselSession<SqliteConnection>>>, Record>;

impl Tasks<TowerOnSqlite, File> {
    pub(crate) fn tower_on_sqlite(file: File, rows: usize, value: &str) -> Result<Self> {
        let store = TowerSessionStore::new(Blocking::from(store_in(&file)?));
        let store = Recorded { store, record: TowerOnSqlite::record(value)? };
        let runtime = Runtime::new()?;
        let ids = runtime.block_on(filled(&store, rows))?;
        let table = Table { database: file, keys: ids.into() };
        Ok(Self::new(Name::Tower, store, Rc::new(table), runtime))
    }
}

impl Table<Database, Id> {
    /// Creates a table with `rows` live sessions, as `TowerSessionStore` stores them.
    pub(crate) fn of_tower_sessions(database: Database, rows: usize, value: &str) -> Result<Rc<Self>> {
        let ids: Vec<Id> = (0..rows).map(|_| Id::default()).collect();
        let record = Tower::record(value)?;
        let data = serde_json::to_string(&record.data)?;
        // A key depends only on its id.
        let runtime = Runtime::new()?;
        let keys = runtime.block_on(async {
            let store = TowerSessionStore::new(connect(&database, false).await?);
            anyhow::Ok(ids.iter().map(|id| store.key(id)).collect::<Vec<_>>())
        })?;
        fill(&database, |conn| insert_keys(conn, &keys, &data))?;
        Ok(Rc::new(Self { database, keys: ids.into() }))
    }
}

async fn connect(database: &Database, pipelined: bool) -> Result<AsyncDieselSession> {
    let builder = AsyncDieselSession::builder().pool_size(POOL).min_idle(POOL);
    let builder = if pipelined { builder.pipelined(PIPELINED) } else { builder };
    Ok(builder.connect(&database.url).await?)
}
