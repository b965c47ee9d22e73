//! The store of `tower-sessions-rusqlite-store`. `diesel-session-bench` starts this program and asks it for samples.

use std::io::{self, Write as _};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bench_measure::tasks;
use bench_measure::tower_sessions::Recorded;
use bench_measure::{Beginning, Request, SQLITE_PRAGMAS};
use tokio::runtime::Runtime;
use tokio_rusqlite::Connection;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_rusqlite_store::RusqliteStore;

fn main() -> Result<()> {
    let mut lines = io::stdin().lines();
    let beginning = lines.next().context("the first line is missing")??;
    let runtime = Runtime::new()?;
    let (store, ids) = runtime.block_on(filled(&serde_json::from_str(&beginning)?))?;
    let mut answers = io::stdout();
    writeln!(answers)?;
    let mut fresh = Vec::new();
    for line in lines {
        let request: Request = serde_json::from_str(&line?)?;
        let sample = tasks::run(&runtime, &store, &ids, &mut fresh, request)?;
        writeln!(answers, "{}", serde_json::to_string(&sample)?)?;
    }
    Ok(())
}

/// Returns a store on a new file, and its sessions' ids.
async fn filled(beginning: &Beginning) -> Result<(Recorded<RusqliteStore, Record>, Arc<[Id]>)> {
    let conn = Connection::open(&beginning.file).await?;
    conn.call(|conn| conn.execute_batch(SQLITE_PRAGMAS)).await?;
    let store = RusqliteStore::new(conn);
    store.migrate().await?;
    let store = Recorded { store, record: Recorded::<RusqliteStore, Record>::record(&beginning.value)? };
    let ids = tasks::filled(&store, beginning.rows).await?;
    Ok((store, ids.into()))
}
