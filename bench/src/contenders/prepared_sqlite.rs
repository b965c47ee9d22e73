//! The limit on SQLite: statements that do what `DieselSession`'s do, prepared once, called directly.

use std::sync::Mutex;

use anyhow::{Result, anyhow, ensure};
use rusqlite::{Connection, params};

use super::diesel_session::fill_file;
use super::{Contender, Name, PERIOD};
use crate::measure::{Amount, Operation, Sample, on_threads};
use crate::server::{File, Tidy as _};

/// Milliseconds since 1970.
const NOW: &str = "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)";

/// A connection of its own for each thread, over a file with the same table.
pub(crate) struct Prepared {
    file: File,
    /// One a client, of as many clients as there were at most.
    connections: Vec<Mutex<Connection>>,
    keys: Vec<String>,
    value: String,
    /// The keys that each client has inserted.
    fresh: Vec<Vec<String>>,
}

impl Prepared {
    pub(crate) fn new(file: File, rows: usize, value: &str) -> Result<Self> {
        // As ours, but that the keys are as they are stored.
        drop(fill_file(&file, rows, value)?);
        let keys = file
            .connect()?
            .prepare("SELECT session_key FROM session")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self { file, connections: Vec::new(), keys, value: value.to_owned(), fresh: Vec::new() })
    }
}

impl Contender for Prepared {
    fn name(&self) -> Name {
        Name::Prepared
    }

    fn run(&mut self, operation: Operation, clients: usize, amount: Amount) -> Result<Sample> {
        while self.connections.len() < clients {
            self.connections.push(Mutex::new(self.file.connect()?));
        }
        let (period, now) = (i64::try_from(PERIOD.as_millis())?, NOW);
        let Self { connections, keys, value, fresh, .. } = &*self;
        let (sample, made) = on_threads(clients, amount, |client, watch| {
            let conn = connections[client].lock().map_err(|_| anyhow!("a client panicked"))?;
            let mut get = conn.prepare(&format!(
                "SELECT session_data, expire_date - {now} FROM session \
                 WHERE session_key = ?1 AND expire_date > {now}"
            ))?;
            let mut set = conn.prepare(&format!(
                "UPDATE session SET session_data = ?2, expire_date = {now} + ?3 \
                 WHERE session_key = ?1 AND expire_date > {now}"
            ))?;
            let mut insert = conn.prepare(&format!(
                "INSERT INTO session (session_key, expire_date, session_data, owner, expire_hour) \
                 VALUES (?1, {now} + ?3, ?2, NULL, ({now} + ?3) / 3600000) ON CONFLICT (session_key) DO NOTHING"
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
        self.file.tidy()
    }
}
