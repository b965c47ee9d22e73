//! `DieselSession`, called from threads through `Now`.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use bench_measure::{Amount, Operation, PERIOD, Sample, on_threads};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_session::{
    DieselSession, Error, Expiry, Now, SessionConnection, SessionKey, Sessions as _, TimeDelta,
};

use super::{Contender, Name, POOL};
use crate::mariadb;
use crate::server::{Database, File, Tidy};

/// A filled table and its sessions' keys.
pub(crate) struct Table<D, K = SessionKey> {
    pub(crate) database: D,
    pub(crate) keys: Arc<[K]>,
}

/// A store over a table that other contenders may share.
pub(crate) struct Threads<C: SessionConnection, D> {
    name: Name,
    store: DieselSession<C>,
    table: Rc<Table<D>>,
    value: String,
    /// The keys that each client has generated.
    fresh: Vec<Vec<SessionKey>>,
}

impl Table<Database> {
    /// Creates a table with `rows` live sessions.
    pub(crate) fn on_postgres(
        database: Database,
        rows: usize,
        value: &str,
        period: Duration,
    ) -> Result<Rc<Self>> {
        let period = period.as_secs().to_string();
        fill(&database, |conn| insert(conn, &hashed(KEY), 1..rows + 1, value, &period, "NULL"))?;
        Ok(Rc::new(Self { database, keys: keys(1..rows + 1)?.into() }))
    }
}

impl Table<mariadb::Database> {
    /// Creates a table with `rows` live sessions.
    pub(crate) fn on_mariadb(database: mariadb::Database, rows: usize, value: &str) -> Result<Rc<Self>> {
        let hashed = format!("CONCAT('$', LEFT(TO_BASE64(UNHEX(SHA2({MARIADB_KEY}, 256))), 39))");
        fill_mariadb(&database, &hashed, rows, value)?;
        Ok(Rc::new(Self { database, keys: keys(1..rows + 1)?.into() }))
    }
}

/// Returns the SQL for the stored form of a key: its hash.
pub(crate) fn hashed(key: &str) -> String {
    format!("'$' || left(translate(encode(sha256(convert_to({key}, 'UTF8')), 'base64'), E'\\n', ''), 39)")
}

/// The SQL for a key made from a number. The hashes of such keys are in random order.
pub(crate) const KEY: &str = "lpad(n::text, 40, '0')";

/// The same on MariaDB.
pub(crate) const MARIADB_KEY: &str = "LPAD(seq, 40, '0')";

fn keys(numbers: Range<usize>) -> Result<Vec<SessionKey>> {
    numbers.map(|n| Ok(format!("{n:040}").parse()?)).collect()
}

/// Creates the session table with the sessions that `insert` inserts.
pub(crate) fn fill(database: &Database, insert: impl FnOnce(&mut PgConnection) -> Result<()>) -> Result<()> {
    DieselSession::<PgConnection>::connect(&database.url)?.migrate()?;
    let mut conn = database.connect()?;
    insert(&mut conn)?;
    conn.batch_execute("ALTER TABLE session SET (autovacuum_enabled = off)")?;
    Ok(conn.batch_execute("VACUUM ANALYZE session")?)
}

/// Creates the session table on MariaDB with a session for each number, in random order. `key` is SQL.
pub(crate) fn fill_mariadb(database: &mariadb::Database, key: &str, rows: usize, value: &str) -> Result<()> {
    DieselSession::<MysqlConnection>::connect(&database.url)?.migrate()?;
    let expiry = SystemTime::now().duration_since(UNIX_EPOCH)? + PERIOD;
    sql_query(format!(
        "INSERT INTO session (session_key, expire_date, session_data) \
         SELECT {key}, ?, ? FROM seq_1_to_{rows} ORDER BY RAND()"
    ))
    .bind::<BigInt, _>(i64::try_from(expiry.as_millis())?)
    .bind::<Text, _>(value)
    .execute(&mut database.connect()?)?;
    Ok(())
}

/// Inserts a session for each number, in random order, with one statement. `key`, `period` (in seconds) and `owner` are
/// SQL.
pub(crate) fn insert(
    conn: &mut PgConnection,
    key: &str,
    numbers: Range<usize>,
    value: &str,
    period: &str,
    owner: &str,
) -> Result<()> {
    sql_query(format!(
        "INSERT INTO session (session_key, expire_date, session_data, owner) \
         SELECT {key}, statement_timestamp() + ({period}) * interval '1 second', $3, {owner} \
         FROM (SELECT n FROM generate_series($1, $2 - 1) AS n ORDER BY random()) AS shuffled"
    ))
    .bind::<BigInt, _>(i64::try_from(numbers.start)?)
    .bind::<BigInt, _>(i64::try_from(numbers.end)?)
    .bind::<Text, _>(value)
    .execute(conn)?;
    Ok(())
}

/// Inserts a session for each key, in random order, with one statement.
pub(crate) fn insert_keys(conn: &mut PgConnection, keys: &[SessionKey], value: &str) -> Result<()> {
    let keys: Vec<&str> = keys.iter().map(SessionKey::as_str).collect();
    sql_query(format!(
        "INSERT INTO session (session_key, expire_date, session_data) \
         SELECT {}, statement_timestamp() + interval '{} seconds', $2 FROM unnest($1) AS key ORDER BY random()",
        hashed("key"),
        PERIOD.as_secs()
    ))
    .bind::<Array<Text>, _>(keys)
    .bind::<Text, _>(value)
    .execute(conn)?;
    Ok(())
}

/// Returns a store whose session table is in this file.
pub(crate) fn store_in(file: &File) -> Result<DieselSession<SqliteConnection>> {
    let path = file.path();
    let path = path.to_str().ok_or_else(|| anyhow!("the temporary directory has no name in UTF-8"))?;
    let store = DieselSession::<SqliteConnection>::builder().pool_size(POOL).min_idle(POOL).connect(path)?;
    store.migrate()?;
    Ok(store)
}

/// Creates the session table with `rows` live sessions in a new file, in one transaction.
pub(crate) fn fill_file(
    file: &File,
    rows: usize,
    value: &str,
) -> Result<(DieselSession<SqliteConnection>, Vec<SessionKey>)> {
    let store = store_in(file)?;
    let expiry = Some(TimeDelta::from_std(PERIOD)?);
    let keys = store.pool().get()?.immediate_transaction(|conn| {
        let sessions = store.on(conn);
        (0..rows).map(|_| sessions.generate(Some(value), expiry)).collect()
    });
    let keys = keys.context("filling the table")?;
    Ok((store, keys))
}

impl Threads<PgConnection, Database> {
    pub(crate) fn on_postgres(name: Name, table: Rc<Table<Database>>, value: &str) -> Result<Self> {
        let builder = DieselSession::<PgConnection>::builder().bounded_calls(name == Name::Bounded);
        let store = builder.pool_size(POOL).min_idle(POOL).connect(&table.database.url)?;
        Ok(Self::over(name, store, table, value))
    }
}

impl Threads<MysqlConnection, mariadb::Database> {
    pub(crate) fn on_mariadb(name: Name, table: Rc<Table<mariadb::Database>>, value: &str) -> Result<Self> {
        let builder = DieselSession::<MysqlConnection>::builder().bounded_calls(name == Name::Bounded);
        let store = builder.pool_size(POOL).min_idle(POOL).connect(&table.database.url)?;
        Ok(Self::over(name, store, table, value))
    }
}

impl Threads<SqliteConnection, File> {
    pub(crate) fn on_sqlite(file: File, rows: usize, value: &str) -> Result<Self> {
        let (store, keys) = fill_file(&file, rows, value)?;
        Ok(Self::over(Name::Unbounded, store, Rc::new(Table { database: file, keys: keys.into() }), value))
    }
}

impl<C: SessionConnection, D> Threads<C, D> {
    fn over(name: Name, store: DieselSession<C>, table: Rc<Table<D>>, value: &str) -> Self {
        Self { name, store, table, value: value.to_owned(), fresh: Vec::new() }
    }
}

impl<C: SessionConnection, D: Tidy + Sync> Contender for Threads<C, D> {
    fn name(&self) -> Name {
        self.name
    }

    fn run(&mut self, operation: Operation, clients: usize, amount: Amount) -> Result<Sample> {
        let (store, keys, value, fresh) = (&self.store, &self.table.keys, &self.value, &self.fresh);
        let period = Some(TimeDelta::from_std(PERIOD)?);
        let (sample, made) = on_threads(clients, amount, |client, watch| {
            let mut random = fastrand::Rng::new();
            let mut made = Vec::new();
            let mut held = if self.name == Name::Held { Some(store.pool().get()?) } else { None };
            // Each write needs a new value. Otherwise a conflict goes unnoticed.
            let change = |_| Ok::<_, Error>(format!("{:08}{}", fastrand::u32(..10_000_000), &value[8..]));
            while watch.goes_on() {
                let one = operation == Operation::UpdateOne;
                let key = &keys[if one { 0 } else { random.usize(..keys.len()) }];
                match (operation.next(&mut random), held.as_deref_mut().map(|conn| store.on(conn))) {
                    (Operation::Update | Operation::UpdateOne, _) if self.name == Name::Locked => {
                        drop(store.on(&mut *store.pool().get()?).update(key, Expiry::Default, change)?);
                    }
                    (Operation::Visit, _) => bail!("only stores that are called from tasks have visits"),
                    (Operation::Update | Operation::UpdateOne, _) => {
                        drop(store.update(key, Expiry::Default, change)?);
                    }
                    (Operation::Generate, None) => made.push(store.generate(Some(value), period)?),
                    (Operation::Generate, Some(held)) => made.push(held.generate(Some(value), period)?),
                    (Operation::Clear, None) => store.clear(&fresh[client][watch.laps()])?,
                    (Operation::Clear, Some(held)) => held.clear(&fresh[client][watch.laps()])?,
                    (Operation::Set, None) => store.set(key, value, period)?,
                    (Operation::Set, Some(held)) => held.set(key, value, period)?,
                    (Operation::Get | Operation::Mixed, None) => drop(store.get(key)?),
                    (Operation::Get | Operation::Mixed, Some(held)) => drop(held.get(key)?),
                }
                watch.lap();
            }
            Ok(made)
        })?;
        self.fresh = made;
        Ok(sample)
    }

    fn tidy(&mut self) -> Result<()> {
        self.table.database.tidy()
    }
}
