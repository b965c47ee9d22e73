//! Operations on pooled connections, any of which may be lost.

use std::time::{Duration, Instant};

use diesel::connection::{TransactionManager, TransactionManagerStatus};
use diesel::r2d2::{ConnectionManager, PooledConnection};
use diesel::result::DatabaseErrorKind::SerializationFailure;
use diesel::result::Error::DatabaseError;

use super::DieselSession;
use crate::backend::SessionConnection;
use crate::error::Error;
use crate::operations::Operation;

type Pooled<C> = PooledConnection<ConnectionManager<C>>;

impl<C: SessionConnection> DieselSession<C> {
    /// Runs an operation on a pooled connection; on another where that one turns out to be lost.
    pub(super) fn call<O>(&self, mut operation: O) -> Result<O::Output, Error>
    where
        O: Operation<C> + Send + 'static,
        O::Output: Send + 'static,
    {
        let deadline = Instant::now() + self.call_timeout;
        // At worst every connection in the pool is lost, and the next is new.
        let mut replacements = self.pool.max_size();
        let mut lost = None;
        loop {
            let conn = match self.connection_within(deadline.saturating_duration_since(Instant::now())) {
                Ok(conn) => conn,
                Err(error) => return Err(lost.map_or(error, |source| Error::ConnectionLost { source })),
            };
            let repeated = lost.is_some();
            let attempt = move || attempt(operation, conn, repeated);
            let (back, result) = match &self.helpers {
                Some(helpers) => helpers.run(deadline, attempt)?,
                None => attempt(),
            };
            let in_time = Instant::now() < deadline;
            match result {
                Ok(output) => return Ok(output),
                Err(Failure::Lost(source)) if in_time && replacements > 0 => {
                    lost = Some(source);
                    replacements -= 1;
                }
                Err(Failure::Lost(source)) => return Err(Error::ConnectionLost { source }),
                Err(Failure::Conflict(_)) if in_time => {}
                Err(Failure::Conflict(source)) => return Err(Error::Database(source)),
                Err(Failure::Other(error)) => return Err(error),
            }
            operation = back;
        }
    }

    /// A connection of the pool that answers, within the connection timeout.
    pub(crate) fn connection(&self) -> Result<Pooled<C>, Error> {
        let timeout = self.pool.connection_timeout();
        let mut replacements = self.pool.max_size();
        loop {
            let mut conn = self.connection_within(timeout)?;
            // A test's transaction has no other connection.
            if !C::REMOTE || conn.is_in_transaction() {
                return Ok(conn);
            }
            match conn.ping() {
                Ok(()) => return Ok(conn),
                Err(_) if replacements > 0 => status(&mut *conn).set_in_error(),
                Err(source) => return Err(Error::ConnectionLost { source }),
            }
            replacements -= 1;
        }
    }

    fn connection_within(&self, timeout: Duration) -> Result<Pooled<C>, Error> {
        let started = Instant::now();
        self.pool
            .get_timeout(timeout.min(self.pool.connection_timeout()))
            .map_err(|source| Error::PoolTimeout { waited: started.elapsed(), source })
    }
}

enum Failure {
    /// The connection is of no use any more; the operation may have taken effect.
    Lost(diesel::result::Error),
    /// Another transaction was in the way, under a stricter isolation than the default; nothing was done.
    Conflict(diesel::result::Error),
    Other(Error),
}

/// Runs the operation once, gives the connection back to the pool, and the operation to the caller.
fn attempt<C: SessionConnection, O: Operation<C>>(
    mut operation: O,
    mut conn: Pooled<C>,
    repeated: bool,
) -> (O, Result<O::Output, Failure>) {
    let in_transaction = conn.is_in_transaction();
    let result = operation.run(&mut conn, repeated).map_err(|error| match error {
        // A test's transaction: a new connection would have a new, empty one.
        Error::Database(source) if !in_transaction => explain(source, &mut *conn),
        other => Failure::Other(other),
    });
    (operation, result)
}

/// What a database error means, outside a transaction.
fn explain<C: SessionConnection>(source: diesel::result::Error, conn: &mut C) -> Failure {
    if matches!(source, DatabaseError(SerializationFailure, _)) {
        return Failure::Conflict(source);
    }
    // Diesel hides the SQLSTATE of a missing table, now and then takes a lost connection for something else,
    // and something else for a lost connection. So ask.
    match conn.has_table() {
        Ok(false) => Failure::Other(Error::MissingTable { source }),
        Err(_) if C::REMOTE => {
            // Else the pool may keep it: a statement that fails before it is sent leaves no mark.
            status(conn).set_in_error();
            Failure::Lost(source)
        }
        Ok(true) | Err(_) => Failure::Other(Error::Database(source)),
    }
}

fn status<C: SessionConnection>(conn: &mut C) -> &mut TransactionManagerStatus {
    C::TransactionManager::transaction_manager_status_mut(conn)
}
