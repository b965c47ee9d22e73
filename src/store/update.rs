//! A pooled update, whose new value the caller makes.

use std::time::Instant;

use super::DieselSession;
use super::attempts::{Attempts, Failure, Pooled};
use crate::backend::SessionConnection;
use crate::error::Error;
use crate::operations::{NotMade, NotWritten, Update, abandon, make};
use crate::trace::traced;

impl<C: SessionConnection> DieselSession<C> {
    /// Updates by the caller's function, which stays on the caller's thread; its time does not count.
    pub(super) fn call_update<E: From<Error>>(
        &self,
        update: Result<Update, Error>,
        mut change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        let updated = traced(Update::NAME, C::NAME, || {
            let update = update?;
            let mut attempts = Attempts::of(self);
            loop {
                match self.attempt_update(update, &mut attempts, &mut change)? {
                    Ok(value) => return Ok(value),
                    Err(failure) => attempts.go_on_after(failure)?,
                }
            }
        });
        updated.map_err(NotMade::told)
    }

    fn attempt_update<E: From<Error>>(
        &self,
        update: Update,
        attempts: &mut Attempts<'_, C>,
        change: &mut impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<Result<String, Failure>, NotMade<E>> {
        let conn = attempts.connection()?;
        let (conn, is_ours, begun) = attempts.in_time(move || begin(update, conn))?;
        let value = match begun {
            Ok(value) => value,
            Err(failure) => return Ok(Err(failure)),
        };
        let started = Instant::now();
        let made = make(&self.rules, value, change);
        attempts.deadline += started.elapsed();
        match made {
            Ok(value) => Ok(attempts.in_time(move || finish(update, conn, is_ours, value))?),
            Err(reason) => {
                // A server that does not even take a rollback in time has lost the transaction.
                let _undone = attempts.in_time(move || undo(conn));
                Err(reason)
            }
        }
    }
}

fn begin<C: SessionConnection>(
    update: Update,
    mut conn: Pooled<C>,
) -> (Pooled<C>, bool, Result<Option<String>, Failure>) {
    let is_ours = !conn.is_in_transaction();
    let begun = update.begin(&mut *conn).map_err(|error| Failure::of(error, &mut *conn, is_ours));
    (conn, is_ours, begun)
}

fn finish<C: SessionConnection>(
    update: Update,
    mut conn: Pooled<C>,
    is_ours: bool,
    value: String,
) -> Result<String, Failure> {
    match update.finish(&mut *conn, &value) {
        Ok(()) => Ok(value),
        Err(NotWritten::Undone(error)) => Err(Failure::of(error, &mut *conn, is_ours)),
        Err(NotWritten::AtCommit(error)) => Err(Failure::of(error.into(), &mut *conn, is_ours).for_good()),
    }
}

fn undo<C: SessionConnection>(mut conn: Pooled<C>) {
    abandon(&mut *conn);
}
