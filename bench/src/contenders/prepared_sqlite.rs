//! The limit on SQLite: the statements that `DieselSession` sends, prepared once and called directly.

use std::sync::Mutex;

use anyhow::{Result, anyhow, bail, ensure};
use bench_measure::{Amount, Operation, PERIOD, Sample, on_threads};
use rusqlite::{Connection, params};

use super::diesel_session::fill_file;
use super::{Contender, Name};
use crate::server::{File, Tidy as _};
use crate::statements::Statements;

const HOUR: i64 = 3_600_000;

/// A contender with one connection per thread, on a file with the same table.
pub(crate) struct Prepared {
    file: File,
    statements: Statements,
    /// One per client, up to the highest number of clients so far.
    connections: Vec<Mutex<Connection>>,
    keys: Vec<String>,
    value: String,
    /// The keys that each client has inserted.
    fresh: Vec<Vec<String>>,
}

impl Prepared {
    pub(crate) fn new(file: File, rows: usize, value: &str) -> Result<Self> {
        // Filled like the file of `DieselSession`, but the keys are used as they are stored.
        let (store, _) = fill_file(&file, rows, value)?;
        let statements = Statements::seen_on(&store)?;
        let keys = file
            .connect()?
            .prepare("SELECT session_key FROM session")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        drop(store);
        Ok(Self {
            file,
            statements,
            connections: Vec::new(),
            keys,
            value: value.to_owned(),
            fresh: Vec::new(),
        })
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
        let period = i64::try_from(PERIOD.as_millis())?;
        let Self { statements, connections, keys, value, fresh, .. } = &*self;
        let (sample, made) = on_threads(clients, amount, |client, watch| {
            let conn = connections[client].lock().map_err(|_| anyhow!("a client panicked"))?;
            let mut get = conn.prepare(&statements.get)?;
            let mut set = conn.prepare(&statements.set)?;
            let mut insert = conn.prepare(&statements.generate)?;
            let mut delete = conn.prepare(&statements.clear)?;
            let mut random = fastrand::Rng::new();
            let mut made = Vec::new();
            while watch.goes_on() {
                let key = &keys[random.usize(..keys.len())];
                let rows = match operation.next(&mut random) {
                    Operation::Get | Operation::Mixed => {
                        get.query_row(params![key], |row| {
                            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
                        })?;
                        1
                    }
                    Operation::Set => set.execute(params![value, period, key])?,
                    Operation::Generate => {
                        made.push(format!("{:040x}", random.u128(..)));
                        insert.execute(params![made.last(), period, value, None::<&str>, period, HOUR])?
                    }
                    Operation::Clear => delete.execute([&fresh[client][watch.laps()]])?,
                    Operation::Visit | Operation::Update | Operation::UpdateOne => {
                        bail!("there is no limit for {}", operation.name())
                    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_writes_what_it_is_measured_by() -> Result<()> {
        let mut prepared = Prepared::new(File::new()?, 10, "before")?;
        "after".clone_into(&mut prepared.value);
        let count = |prepared: &Prepared| -> Result<[i64; 2]> {
            // Sessions that end one period from now, give or take a minute.
            let query = "SELECT count(*), count(*) FILTER (WHERE session_data = 'after' \
                AND abs(expire_date - (unixepoch() + ?1) * 1000) < 60000 AND expire_hour = expire_date / 3600000) \
                FROM session";
            let counted = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?]);
            Ok(prepared.file.connect()?.query_row(query, [PERIOD.as_secs()], counted)?)
        };
        prepared.run(Operation::Generate, 2, Amount::Operations(5))?;
        assert_eq!(count(&prepared)?, [20, 10]);
        prepared.run(Operation::Clear, 2, Amount::Operations(5))?;
        assert_eq!(count(&prepared)?, [10, 0]);
        prepared.run(Operation::Set, 1, Amount::Operations(1))?;
        assert_eq!(count(&prepared)?, [10, 1]);
        prepared.run(Operation::Get, 1, Amount::Operations(1))?;
        Ok(())
    }
}
