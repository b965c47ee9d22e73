//! Calls on pooled connections, any of which may be lost: as many attempts as it takes, until the deadline.

use std::time::{Duration, Instant};

use diesel::connection::{TransactionManager, TransactionManagerStatus};
use diesel::r2d2::{ConnectionManager, PooledConnection};
use diesel::result::DatabaseErrorKind::SerializationFailure;
use diesel::result::Error::DatabaseError;

use super::DieselSession;
use crate::backend::SessionConnection;
use crate::error::Error;
use crate::operations::Operation;
use crate::trace::traced;

pub(super) type Pooled<C> = PooledConnection<ConnectionManager<C>>;

impl<C: SessionConnection> DieselSession<C> {
    /// Runs an operation on a pooled connection; on another where that one turns out to be lost.
    pub(crate) fn call<O>(&self, operation: Result<O, Error>) -> Result<O::Output, Error>
    where
        O: Operation<C> + Send + 'static,
        O::Output: Send + 'static,
    {
        traced(O::NAME, C::NAME, || {
            let mut operation = operation?;
            let mut attempts = Attempts::of(self);
            loop {
                let conn = attempts.connection()?;
                let repeated = attempts.lost.is_some();
                let (back, result) = attempts.in_time(move || attempt(operation, conn, repeated))?;
                match result {
                    Ok(output) => return Ok(output),
                    Err(failure) => attempts.go_on_after(failure)?,
                }
                operation = back;
            }
        })
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

/// The attempts of one call.
pub(super) struct Attempts<'a, C: SessionConnection> {
    store: &'a DieselSession<C>,
    pub(super) deadline: Instant,
    /// At worst every connection in the pool is lost, and the next is new.
    replacements: u32,
    /// What the last lost connection said.
    lost: Option<diesel::result::Error>,
}

impl<'a, C: SessionConnection> Attempts<'a, C> {
    pub(super) fn of(store: &'a DieselSession<C>) -> Self {
        Self {
            store,
            deadline: Instant::now() + store.call_timeout,
            replacements: store.pool.max_size(),
            lost: None,
        }
    }

    pub(super) fn connection(&mut self) -> Result<Pooled<C>, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let lost = &mut self.lost;
        self.store
            .connection_within(left)
            .map_err(|error| lost.take().map_or(error, |source| Error::ConnectionLost { source }))
    }

    /// Does what waits for the database, on a helper's thread if the store has helpers.
    pub(super) fn in_time<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Error> {
        match &self.store.helpers {
            Some(helpers) => helpers.run(self.deadline, job),
            None => Ok(job()),
        }
    }

    /// Whether another attempt makes sense; if not, what to tell the caller.
    pub(super) fn go_on_after(&mut self, failure: Failure) -> Result<(), Error> {
        let in_time = Instant::now() < self.deadline;
        match failure {
            Failure::Lost(source) if in_time && self.replacements > 0 => {
                self.replacements -= 1;
                self.lost = Some(source);
                Ok(())
            }
            Failure::Lost(source) => Err(Error::ConnectionLost { source }),
            Failure::Unknown(source) => Err(Error::OutcomeUnknown { source }),
            Failure::Conflict(_) if in_time => Ok(()),
            Failure::Conflict(source) => Err(Error::Database(source)),
            Failure::Other(error) => Err(error),
        }
    }
}

/// Why an attempt failed.
pub(super) enum Failure {
    /// The connection is of no use any more; the operation may have taken effect, and can be repeated.
    Lost(diesel::result::Error),
    /// The same of an operation that cannot be repeated.
    Unknown(diesel::result::Error),
    /// Another transaction was in the way, under a stricter isolation than the default; nothing was done.
    Conflict(diesel::result::Error),
    Other(Error),
}

impl Failure {
    /// What an error means that an operation on this connection gave; `is_ours` says that there was no open
    /// transaction before it.
    pub(super) fn of<C: SessionConnection>(error: Error, conn: &mut C, is_ours: bool) -> Self {
        match error {
            // Else a test's transaction: a new connection would have a new, empty one.
            Error::Database(source) if is_ours => Self::explain(source, conn),
            other => Self::Other(other),
        }
    }

    /// The same after what cannot be repeated.
    pub(super) fn for_good(self) -> Self {
        match self {
            Self::Lost(source) => Self::Unknown(source),
            other => other,
        }
    }

    /// What a database error means, outside a transaction.
    fn explain<C: SessionConnection>(source: diesel::result::Error, conn: &mut C) -> Self {
        if matches!(source, DatabaseError(SerializationFailure, _)) {
            return Self::Conflict(source);
        }
        // Diesel hides the SQLSTATE of a missing table, now and then takes a lost connection for something else,
        // and something else for a lost connection. So ask.
        match conn.has_table() {
            Ok(false) => Self::Other(Error::MissingTable { source }),
            Err(_) if C::REMOTE => {
                // Else the pool may keep it: a statement that fails before it is sent leaves no mark.
                status(conn).set_in_error();
                Self::Lost(source)
            }
            Ok(true) | Err(_) => Self::Other(Error::Database(source)),
        }
    }
}

/// Runs the operation once, gives the connection back to the pool, and the operation to the caller.
fn attempt<C: SessionConnection, O: Operation<C>>(
    mut operation: O,
    mut conn: Pooled<C>,
    repeated: bool,
) -> (O, Result<O::Output, Failure>) {
    let is_ours = !conn.is_in_transaction();
    if C::REMOTE && is_ours && !O::REPEATABLE {
        // A connection that broke in the pool must not make an unknown outcome of what was never sent.
        if let Err(source) = conn.ping() {
            status(&mut *conn).set_in_error();
            return (operation, Err(Failure::Lost(source)));
        }
    }
    let result = operation.run(&mut conn, repeated).map_err(|error| {
        let failure = Failure::of(error, &mut *conn, is_ours);
        if O::REPEATABLE { failure } else { failure.for_good() }
    });
    (operation, result)
}

fn status<C: SessionConnection>(conn: &mut C) -> &mut TransactionManagerStatus {
    C::TransactionManager::transaction_manager_status_mut(conn)
}
