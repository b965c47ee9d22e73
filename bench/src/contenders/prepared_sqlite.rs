//! The limit on SQLite: statements that do what `DieselSession`'s do, prepared once, called directly.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Result, anyhow, ensure};
use rusqlite::{Connection, params};

use super::{Contender, PERIOD, diesel_session};
use crate::measure::{Amount, Operation, Sample, on_threads};

pub(crate) const NAME: &str = "prepared statements (the limit)";

/// Milliseconds since 1970.
const NOW: &str = "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)";

/// A connection of its own for each thread, over a file with the same table.
pub(crate) struct Prepared<D> {
    path: PathBuf,
    keys: Vec<String>,
    value: String,
    /// The keys that each client has inserted.
    fresh: Vec<Vec<String>>,
    _database: D,
}

impl<D> Prepared<D> {
    pub(crate) fn new(path: &Path, database: D, rows: usize, value: &str) -> Result<Self> {
        // Made and filled as ours.
        drop(diesel_session::Threads::on_sqlite(path, (), rows, value)?);
        let conn = connect(path)?;
        let keys = conn
            .prepare("SELECT session_key FROM session")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self {
            path: path.to_owned(),
            keys,
            value: value.to_owned(),
            fresh: Vec::new(),
            _database: database,
        })
    }
}

impl<D> Contender for Prepared<D> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run(&mut self, operation: Operation, clients: usize, amount: Amount) -> Result<Sample> {
        let connections =
            (0..clients).map(|_| Ok(Mutex::new(connect(&self.path)?))).collect::<Result<Vec<_>>>()?;
        let (period, now) = (i64::try_from(PERIOD.as_millis())?, NOW);
        let (keys, value, fresh) = (&self.keys, &self.value, &self.fresh);
        let (sample, made) = on_threads(clients, amount, |client, watch| {
            let conn = connections[client].lock().map_err(|_| anyhow!("a client panicked"))?;
            let mut get = conn.prepare(&format!(
                "SELECT session_data, expire_date - {now} FROM session \
                 WHERE session_key = ?1 AND expire_date > {now} LIMIT 1"
            ))?;
            let mut set = conn.prepare(&format!(
                "UPDATE session SET session_data = ?2, expire_date = {now} + ?3 \
                 WHERE session_key = ?1 AND expire_date > {now}"
            ))?;
            let mut insert = conn.prepare(&format!(
                "INSERT INTO session (session_key, expire_date, session_data) VALUES (?1, {now} + ?3, ?2) \
                 ON CONFLICT (session_key) DO NOTHING"
            ))?;
            let mut delete = conn.prepare("DELETE FROM session WHERE session_key = ?1")?;
            let mut random = fastrand::Rng::new();
            let mut made = Vec::new();
            while watch.goes_on() {
                let key = &keys[random.usize(..keys.len())];
                let rows = match operation.next(&mut random) {
                    Operation::Get | Operation::Mixed => {
                        get.query_row([key], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
                        1
                    }
                    Operation::Set => set.execute(params![key, value, period])?,
                    Operation::Generate => {
                        made.push(format!("{:040x}", random.u128(..)));
                        insert.execute(params![made.last(), value, period])?
                    }
                    Operation::Clear => delete.execute([&fresh[client][watch.laps()]])?,
                };
                ensure!(rows == 1, "a session is missing");
                watch.lap();
            }
            Ok(made)
        })?;
        self.fresh = made;
        Ok(sample)
    }

    fn tidy(&mut self) -> Result<()> {
        // It answers with a row.
        connect(&self.path)?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// With the pragmas that `diesel-session` sets.
fn connect(path: &Path) -> Result<Connection> {
    let conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")?;
    Ok(conn)
}
