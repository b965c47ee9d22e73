//! The stores of `tower-sessions-sqlx-store`, through their own version of `SessionStore`, from tasks.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use nix::sys::resource::UsageWho;
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tokio::sync::Barrier;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_sqlx_store::sqlx::postgres::PgPoolOptions;
use tower_sessions_sqlx_store::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use tower_sessions_sqlx_store::sqlx::{self, PgPool, QueryBuilder, Sqlite, SqlitePool};
use tower_sessions_sqlx_store::{PostgresStore, SqliteStore};

use super::{Contender, PERIOD, POOL};
use crate::measure::{Amount, Operation, Sample, Stopwatch, processor_time};
use crate::server::{Database, File, Tidy};

pub(crate) const NAME: &str = "tower-sessions-sqlx-store";
/// Without asking each connection whether it lives before it is used, which is a pool's default.
pub(crate) const UNCHECKED: &str = "tower-sessions-sqlx-store, unchecked";

/// Sessions to an INSERT while a table is filled.
const BATCH: usize = 5_000;

/// A store over a filled table of its own.
pub(crate) struct Tasks<S, D> {
    store: S,
    ids: Arc<Vec<Id>>,
    /// What each client has created.
    fresh: Vec<Vec<Id>>,
    template: Record,
    runtime: Runtime,
    database: D,
    name: &'static str,
}

impl Tasks<PostgresStore, Database> {
    pub(crate) fn on_postgres(
        name: &'static str,
        database: Database,
        rows: usize,
        value: &str,
    ) -> Result<Self> {
        let runtime = Runtime::new()?;
        let template = record(value)?;
        let (store, ids) = runtime.block_on(async {
            let options = PgPoolOptions::new()
                .max_connections(POOL)
                .min_connections(POOL)
                .test_before_acquire(name != UNCHECKED);
            let pool = options.connect(&database.url).await?;
            let store = PostgresStore::new(pool.clone());
            store.migrate().await?;
            let ids = fill_postgres(&pool, &template, rows).await?;
            for statement in
                ["ALTER TABLE tower_sessions.session SET (autovacuum_enabled = off)", "VACUUM ANALYZE"]
            {
                sqlx::query(statement).execute(&pool).await?;
            }
            anyhow::Ok((store, ids))
        })?;
        Ok(Self::new(name, store, ids, template, runtime, database))
    }
}

impl Tasks<SqliteStore, File> {
    /// With the pragmas that `diesel-session` sets.
    pub(crate) fn on_sqlite(name: &'static str, file: File, rows: usize, value: &str) -> Result<Self> {
        let runtime = Runtime::new()?;
        let template = record(value)?;
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
                .test_before_acquire(name != UNCHECKED);
            let pool = pool_options.connect_with(options).await?;
            let store = SqliteStore::new(pool.clone());
            store.migrate().await?;
            let ids = fill_sqlite(&pool, &template, rows).await?;
            anyhow::Ok((store, ids))
        })?;
        Ok(Self::new(name, store, ids, template, runtime, file))
    }
}

impl<S: SessionStore + Clone, D> Tasks<S, D> {
    fn new(
        name: &'static str,
        store: S,
        ids: Vec<Id>,
        template: Record,
        runtime: Runtime,
        database: D,
    ) -> Self {
        Self { name, store, ids: Arc::new(ids), fresh: Vec::new(), template, runtime, database }
    }
}

impl<S: SessionStore + Clone, D: Tidy> Contender for Tasks<S, D> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&mut self, operation: Operation, clients: usize, amount: Amount) -> Result<Sample> {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.resize(clients, Vec::new());
        let before = processor_time(UsageWho::RUSAGE_SELF)?;
        let start = Arc::new(Barrier::new(clients));
        let (watches, cpu) = self.runtime.block_on(async {
            let tasks: Vec<_> = fresh
                .into_iter()
                .map(|fresh| {
                    let (store, ids, record) =
                        (self.store.clone(), Arc::clone(&self.ids), self.template.clone());
                    let start = Arc::clone(&start);
                    tokio::spawn(async move {
                        start.wait().await;
                        client(&store, operation, &ids, fresh, record, Stopwatch::start(amount)).await
                    })
                })
                .collect();
            let mut watches = Vec::new();
            for task in tasks {
                let (watch, made) = task.await??;
                watches.push(watch);
                self.fresh.push(made);
            }
            anyhow::Ok((watches, processor_time(UsageWho::RUSAGE_SELF)? - before))
        })?;
        Sample::new(watches, cpu)
    }

    fn tidy(&mut self) -> Result<()> {
        self.database.tidy()
    }
}

/// One client: it has its record at hand already, as after a request's work.
async fn client<S: SessionStore>(
    store: &S,
    operation: Operation,
    ids: &[Id],
    fresh: Vec<Id>,
    mut record: Record,
    mut watch: Stopwatch,
) -> Result<(Stopwatch, Vec<Id>)> {
    let mut random = fastrand::Rng::new();
    let mut made = Vec::new();
    while watch.goes_on() {
        let id = ids[random.usize(..ids.len())];
        match operation.next(&mut random) {
            Operation::Get | Operation::Mixed => {
                store.load(&id).await?.ok_or_else(|| anyhow!("a session is missing"))?;
            }
            Operation::Set => {
                record.id = id;
                store.save(&record).await?;
            }
            Operation::Generate => {
                record.id = Id::default();
                store.create(&mut record).await?;
                made.push(record.id);
            }
            Operation::Clear => store.delete(&fresh[watch.laps()]).await?,
        }
        watch.lap();
    }
    Ok((watch, made))
}

fn record(value: &str) -> Result<Record> {
    let expiry_date = OffsetDateTime::now_utc() + time::Duration::try_from(PERIOD)?;
    let data = HashMap::from([("value".to_owned(), value.into())]);
    Ok(Record { id: Id::default(), data, expiry_date })
}

/// New sessions as the store would write them: ids, data, and the one expiry.
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

async fn fill_sqlite(pool: &SqlitePool, template: &Record, rows: usize) -> Result<Vec<Id>> {
    let mut ids = Vec::with_capacity(rows);
    for batch in batches(template, rows) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO tower_sessions (id, data, expiry_date) ");
        insert.push_values(batch?, |mut row, (id, data)| {
            row.push_bind(id.to_string()).push_bind(data).push_bind(template.expiry_date);
            ids.push(id);
        });
        insert.build().execute(pool).await?;
    }
    Ok(ids)
}
