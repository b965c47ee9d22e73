//! Stores called through tower-sessions' `SessionStore`, each through its own version of the trait. Also the stores
//! of `tower-sessions-sqlx-store`.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::{Error, Result, anyhow};
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_sqlx_store::sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use tower_sessions_sqlx_store::sqlx::postgres::PgPoolOptions;
use tower_sessions_sqlx_store::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use tower_sessions_sqlx_store::sqlx::{
    self, Arguments as _, Encode, Executor, IntoArguments, PgPool, Pool, Type,
};
use tower_sessions_sqlx_store::{MySqlStore, PostgresStore, SqliteStore};

use super::diesel_session::Table;
use super::tasks::{Store, Tasks};
use super::{Name, PERIOD, POOL};
use crate::mariadb;
use crate::server::{Database, File};

/// Sessions per INSERT while a table is filled.
const BATCH: usize = 5_000;

/// A tower-sessions store and the record that it writes.
#[derive(Clone)]
pub(crate) struct Recorded<S, R> {
    pub(crate) store: S,
    pub(crate) record: R,
}

/// Returns when a session expires that is saved now.
fn expiry() -> Result<OffsetDateTime> {
    Ok(OffsetDateTime::now_utc() + time::Duration::try_from(PERIOD)?)
}

/// Generates the same code for each version of tower-sessions-core.
macro_rules! through {
    ($core:ident) => {
        impl<S> Recorded<S, $core::session::Record> {
            /// Returns a record with `value` in its data.
            pub(crate) fn record(value: &str) -> Result<$core::session::Record> {
                let data = HashMap::from([("value".to_owned(), value.into())]);
                Ok($core::session::Record { id: $core::session::Id::default(), data, expiry_date: expiry()? })
            }
        }

        impl<S: $core::SessionStore + Clone> Store for Recorded<S, $core::session::Record> {
            type Key = $core::session::Id;

            async fn get(&self, id: &Self::Key) -> Result<()> {
                self.store.load(id).await?.map(drop).ok_or_else(|| anyhow!("a session is missing"))
            }

            async fn set(&mut self, id: &Self::Key) -> Result<()> {
                self.record.id = *id;
                // As each save of tower-sessions does. SQLite and MariaDB do not write a row that stays as it is.
                self.record.expiry_date = expiry()?;
                Ok(self.store.save(&self.record).await?)
            }

            async fn visit(&mut self, id: &Self::Key) -> Result<()> {
                let mut record = self.store.load(id).await?.ok_or_else(|| anyhow!("a session is missing"))?;
                record.data.insert("visits".to_owned(), fastrand::u32(..).into());
                record.expiry_date = expiry()?;
                Ok(self.store.save(&record).await?)
            }

            async fn generate(&self) -> Result<Self::Key> {
                // The store changes the record.
                let mut record = self.record.clone();
                record.id = Self::Key::default();
                self.store.create(&mut record).await?;
                Ok(record.id)
            }

            async fn clear(&self, id: &Self::Key) -> Result<()> {
                Ok(self.store.delete(id).await?)
            }
        }
    };
}

through!(tower_sessions_core);
through!(tower_sessions_core_0_15);

impl Tasks<Recorded<PostgresStore, Record>, Database> {
    pub(crate) fn on_postgres(name: Name, database: Database, rows: usize, value: &str) -> Result<Self> {
        let runtime = Runtime::new()?;
        let record = Recorded::<PostgresStore, Record>::record(value)?;
        let (store, ids) = runtime.block_on(async {
            let options = PgPoolOptions::new()
                .max_connections(POOL)
                .min_connections(POOL)
                .test_before_acquire(name != Name::SqlxUnchecked);
            let pool = options.connect(&database.url).await?;
            let store = PostgresStore::new(pool.clone());
            store.migrate().await?;
            let ids = fill_postgres(&pool, &record, rows).await?;
            for statement in
                ["ALTER TABLE tower_sessions.session SET (autovacuum_enabled = off)", "VACUUM ANALYZE"]
            {
                sqlx::query(statement).execute(&pool).await?;
            }
            anyhow::Ok((store, ids))
        })?;
        let table = Table { database, keys: ids.into() };
        Ok(Self::new(name, Recorded { store, record }, Rc::new(table), runtime))
    }
}

impl Tasks<Recorded<SqliteStore, Record>, File> {
    /// Uses the pragmas that `diesel-session` sets.
    pub(crate) fn on_sqlite(name: Name, file: File, rows: usize, value: &str) -> Result<Self> {
        let runtime = Runtime::new()?;
        let record = Recorded::<SqliteStore, Record>::record(value)?;
        let options = SqliteConnectOptions::new()
            .filename(file.path())
            .create_if_missing(true)
            .busy_timeout(std::time::Duration::from_secs(5))
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal);
        let (store, ids) = runtime.block_on(async {
            let pool_options = SqlitePoolOptions::new()
                .max_connections(POOL)
                .min_connections(POOL)
                .test_before_acquire(name != Name::SqlxUnchecked);
            let pool = pool_options.connect_with(options).await?;
            let store = SqliteStore::new(pool.clone());
            store.migrate().await?;
            let ids = fill(&pool, "tower_sessions", &record, rows).await?;
            anyhow::Ok((store, ids))
        })?;
        let table = Table { database: file, keys: ids.into() };
        Ok(Self::new(name, Recorded { store, record }, Rc::new(table), runtime))
    }
}

impl Tasks<Recorded<MySqlStore, Record>, mariadb::Database> {
    pub(crate) fn on_mariadb(database: mariadb::Database, rows: usize, value: &str) -> Result<Self> {
        let runtime = Runtime::new()?;
        let record = Recorded::<MySqlStore, Record>::record(value)?;
        let options =
            MySqlConnectOptions::new().socket(database.socket()).username("root").database(&database.name);
        let (store, ids) = runtime.block_on(async {
            let pool_options = MySqlPoolOptions::new().max_connections(POOL).min_connections(POOL);
            let pool = pool_options.connect_with(options).await?;
            let store = MySqlStore::new(pool.clone()).with_schema_name(&database.name).map_err(Error::msg)?;
            store.migrate().await?;
            let ids = fill(&pool, "session", &record, rows).await?;
            anyhow::Ok((store, ids))
        })?;
        let table = Table { database, keys: ids.into() };
        Ok(Self::new(Name::Sqlx, Recorded { store, record }, Rc::new(table), runtime))
    }
}

/// Yields new sessions as the store would write them: ids and data. All have the same expiry.
fn batches(template: &Record, rows: usize) -> impl Iterator<Item = Result<Vec<(Id, Vec<u8>)>>> {
    let mut record = template.clone();
    (0..rows).step_by(BATCH).map(move |first| {
        (first..rows.min(first + BATCH))
            .map(|_| {
                record.id = Id::default();
                Ok((record.id, rmp_serde::to_vec(&record)?))
            })
            .collect()
    })
}

async fn fill_postgres(pool: &PgPool, template: &Record, rows: usize) -> Result<Vec<Id>> {
    let mut ids = Vec::with_capacity(rows);
    for batch in batches(template, rows) {
        let (some, data): (Vec<Id>, Vec<Vec<u8>>) = batch?.into_iter().unzip();
        sqlx::query(
            "INSERT INTO tower_sessions.session (id, data, expiry_date) \
             SELECT id, data, $3 FROM unnest($1, $2) AS new (id, data)",
        )
        .bind(some.iter().map(ToString::to_string).collect::<Vec<_>>())
        .bind(data)
        .bind(template.expiry_date)
        .execute(pool)
        .await?;
        ids.extend(some);
    }
    Ok(ids)
}

async fn fill<DB>(pool: &Pool<DB>, table: &str, template: &Record, rows: usize) -> Result<Vec<Id>>
where
    DB: sqlx::Database,
    for<'q> DB::Arguments<'q>: IntoArguments<'q, DB>,
    for<'p> &'p Pool<DB>: Executor<'p, Database = DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
    for<'q> Vec<u8>: Encode<'q, DB> + Type<DB>,
    for<'q> OffsetDateTime: Encode<'q, DB> + Type<DB>,
{
    let mut ids = Vec::with_capacity(rows);
    for batch in batches(template, rows) {
        let batch = batch?;
        let values = vec!["(?, ?, ?)"; batch.len()].join(", ");
        let insert = format!("INSERT INTO {table} (id, data, expiry_date) VALUES {values}");
        let mut arguments = DB::Arguments::default();
        for (id, data) in batch {
            ids.push(id);
            let added = arguments.add(id.to_string()).and_then(|()| arguments.add(data));
            added.and_then(|()| arguments.add(template.expiry_date)).map_err(|error| anyhow!(error))?;
        }
        sqlx::query_with(&insert, arguments).execute(pool).await?;
    }
    Ok(ids)
}
