//! Diesel's own connections to PostgreSQL.

use diesel::connection::{CacheSize, SimpleConnection as _};
use diesel::prelude::*;
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError};

use super::postgres::{ConnectOptions, set_up};
use super::{Connect, ConnectionSettings};
use crate::error::Error;

impl Connect for PgConnection {
    const REMOTE: bool = true;

    fn address(url: &str, settings: &ConnectionSettings) -> Result<String, Error> {
        url.parse::<ConnectOptions>()?.address(settings)
    }

    fn is_private(_address: &str) -> bool {
        false
    }

    fn set_up(settings: &ConnectionSettings) -> Box<dyn CustomizeConnection<Self, ConnectionError>> {
        Box::new(SetUp(settings.clone()))
    }
}

#[derive(Debug)]
struct SetUp(ConnectionSettings);

impl CustomizeConnection<PgConnection, ConnectionError> for SetUp {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), ConnectionError> {
        if self.0.pgbouncer {
            // In transaction mode, what is prepared by name or set may be another client's by the next call.
            conn.set_prepared_statement_cache_size(CacheSize::Disabled);
        }
        let statements = set_up(&self.0);
        Ok(statements.iter().try_for_each(|statement| conn.batch_execute(statement))?)
    }
}
