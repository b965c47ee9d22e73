//! Sessions on PostgreSQL.

mod admin;
#[cfg(feature = "diesel-async")]
mod asynchronous;
#[cfg(feature = "diesel-async")]
mod backend_key;
mod builder;
#[cfg(feature = "diesel-async")]
pub(crate) mod cancel;
#[cfg(feature = "diesel-async")]
pub(crate) mod connector;
#[cfg(feature = "diesel-async")]
pub(crate) mod establish;
mod expressions;
#[cfg(feature = "postgres")]
mod libpq;
pub(crate) mod migrate;
mod moved_row;
mod owners;
#[cfg(feature = "diesel-async")]
pub(crate) mod pooler;
mod queries;
mod run_query;
mod saves;
pub(crate) mod table;
#[cfg(feature = "rustls")]
mod tls;
mod tombstones;
mod utc_zone;

#[cfg(feature = "diesel-async")]
pub(crate) use asynchronous::{row, rows};
pub(crate) use run_query::RunQuery;

use crate::options::ConnectionSettings;

/// At this isolation level, a statement that waited for a lock sees what the other transaction committed.
const BEGIN: &str = "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Returns the statements that set up a new connection. They set the schema of its tables, and a statement timeout
/// unless the role, the environment or the caller's options have set one. A connection through PgBouncer gets no
/// timeout.
fn set_up(settings: &ConnectionSettings) -> Vec<String> {
    let milliseconds = settings.statement_timeout.as_millis();
    let timeout = format!(
        "SELECT pg_catalog.set_config('statement_timeout', '{milliseconds}', false) \
         WHERE pg_catalog.current_setting('statement_timeout') = '0'"
    );
    let schema = settings.schema.as_ref().map(|schema| format!("SET search_path = {}", schema.quoted()));
    let timeout = (!settings.pgbouncer).then_some(timeout);
    timeout.into_iter().chain(schema).collect()
}
