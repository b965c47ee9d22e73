//! The stores of `tower-sessions-sqlx-store`.

use std::rc::Rc;

use anyhow::{Error, Result, anyhow};
use bench_measure::tower_sessions::Recorded;
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
use super::tasks::Tasks;
use super::{Name, POOL};
use crate::mariadb;
use crate::server::{Database, File};

/// Sessions per INSERT while a table is filled.
const BATCH: usize = 5_000;

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
