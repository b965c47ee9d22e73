//! Stores of tower-sessions that keep no table: Redis, and this process's memory.

use std::rc::Rc;

use anyhow::{Context as _, Result};
use bench_measure::tasks::filled;
use bench_measure::tower_sessions::Recorded;
use throwaway_postgres::{Supervised, script};
use tokio::runtime::Runtime;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core_0_15 as core_0_15;
use tower_sessions_memory_store::MemoryStore;
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike as _, Config, Pool};

use super::diesel_session::Table;
use super::tasks::Tasks;
use super::{Name, POOL};
use crate::server::Tidy;

const SUPERVISOR: &str = include_str!("../redis.sh");

/// How many tasks fill Redis at once. Their requests share round trips.
const FILLERS: usize = 64;

/// A throwaway Redis server on a Unix socket. It flushes its log to the disk once a second.
pub(crate) struct Redis(Supervised);

impl Redis {
    fn start() -> Result<Self> {
        let failed = "Redis did not start: see its log above; `apt install redis-server`";
        Ok(Self(Supervised::start(script(SUPERVISOR), failed).context("starting a Redis server")?))
    }
}

/// Redis needs no vacuum.
impl Tidy for Redis {
    fn tidy(&self) -> Result<()> {
        Ok(())
    }
}

/// This process's memory.
pub(crate) struct Memory;

impl Tidy for Memory {
    fn tidy(&self) -> Result<()> {
        Ok(())
    }
}

impl Tasks<Recorded<RedisStore<Pool>, Record>, Redis> {
    pub(crate) fn on_redis(rows: usize, value: &str) -> Result<Self> {
        let server = Redis::start()?;
        let runtime = Runtime::new()?;
        let record = Recorded::<RedisStore<Pool>, Record>::record(value)?;
        let (store, ids) = runtime.block_on(async {
            let url = format!("redis+unix://{}", server.0.directory().join("socket").display());
            let pool = Pool::new(Config::from_url(&url)?, None, None, None, POOL as usize)?;
            pool.init().await?;
            let store = RedisStore::new(pool);
            let ids: Vec<Id> = (0..rows).map(|_| Id::default()).collect();
            let filling: Vec<_> = ids
                .chunks(rows.div_ceil(FILLERS))
                .map(|ids| {
                    let (ids, store, mut record) = (ids.to_vec(), store.clone(), record.clone());
                    tokio::spawn(async move {
                        for id in ids {
                            record.id = id;
                            store.create(&mut record).await?;
                        }
                        anyhow::Ok(())
                    })
                })
                .collect();
            for share in filling {
                share.await??;
            }
            anyhow::Ok((store, ids))
        })?;
        let table = Table { database: server, keys: ids.into() };
        Ok(Self::new(Name::Redis, Recorded { store, record }, Rc::new(table), runtime))
    }
}

impl Tasks<Recorded<MemoryStore, core_0_15::session::Record>, Memory> {
    pub(crate) fn in_memory(rows: usize, value: &str) -> Result<Self> {
        let runtime = Runtime::new()?;
        let record = Recorded::<MemoryStore, core_0_15::session::Record>::record(value)?;
        let store = Recorded { store: MemoryStore::default(), record };
        let ids = runtime.block_on(filled(&store, rows))?;
        Ok(Self::new(Name::Memory, store, Rc::new(Table { database: Memory, keys: ids.into() }), runtime))
    }
}
