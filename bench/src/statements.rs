//! The statements that `DieselSession` sends, as Diesel builds them.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use diesel::connection::InstrumentationEvent;
use diesel::prelude::*;
use diesel_session::{DieselSession, Now as _, SessionConnection};

/// Statements with placeholders for the values: `$1`, `$2`, ... on PostgreSQL, and `?` on SQLite and MariaDB.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) generate: String,
    pub(crate) get: String,
    pub(crate) set: String,
    pub(crate) clear: String,
}

impl Statements {
    /// Captures the statements by running each operation once on a new session.
    pub(crate) fn seen_on<C: SessionConnection>(store: &DieselSession<C>) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut conn = store.pool().get()?;
        conn.set_instrumentation({
            let seen = Arc::clone(&seen);
            move |event: InstrumentationEvent<'_>| {
                if let InstrumentationEvent::StartQuery { query, .. } = event {
                    // Diesel appends the values after a marker.
                    let query = query.to_string();
                    let sql = query.split(" -- binds").next().unwrap_or_default().to_owned();
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(sql);
                }
            }
        });
        let sessions = store.on(&mut conn);
        let key = sessions.generate(Some(""), None)?;
        sessions.get(&key)?;
        sessions.set(&key, "", None)?;
        sessions.clear(&key)?;
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        let [generate, get, set, clear] = <[String; 4]>::try_from(seen)
            .map_err(|seen| anyhow!("an operation sent more or less than one statement: {seen:?}"))?;
        Ok(Self { generate, get, set, clear })
    }
}
