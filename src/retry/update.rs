//! An update: the caller's function makes the new value.

use std::time::Instant;

use super::{Attempts, Busy, Failure, Lease, Source};
use crate::database::{Queries as _, Transactions};
use crate::error::Error;
use crate::operations::{NotMade, NotWritten, Update, abandon, make};
use crate::options::Options;
use crate::trace::traced;

/// How often the caller's function may run in one update.
const RUNS: u32 = 3;

/// Updates a session with the caller's function. The function runs where the caller is, and its time does not count.
pub(crate) async fn call_update<S, E>(
    source: &S,
    options: &Options,
    update: Result<Update, Error>,
    mut change: impl FnMut(Option<String>) -> Result<String, E>,
) -> Result<String, E>
where
    S: Source<Connection: Transactions>,
    E: From<Error>,
{
    let work = async {
        let update = update?;
        let (mut attempts, mut runs) = (Attempts::of(source), 0);
        loop {
            let error = match attempt(options, update, &mut attempts, &mut runs, &mut change).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(failure)) if runs == RUNS => failure.into(),
                Ok(Err(failure)) => match attempts.go_on_after(failure) {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(NotMade::Ours(error)) => error,
                Err(not_made) => return Err(not_made),
            };
            return Err(NotMade::Ours(match error {
                // The connection was lost before COMMIT, so nothing was written.
                Error::ConnectionLost { source } if runs > 0 => Error::Interrupted { runs, source },
                other => other,
            }));
        }
    };
    traced(Update::NAME, S::Connection::NAME, work).await.map_err(NotMade::told)
}

async fn attempt<S, E>(
    options: &Options,
    update: Update,
    attempts: &mut Attempts<'_, S>,
    runs: &mut u32,
    change: &mut impl FnMut(Option<String>) -> Result<String, E>,
) -> Result<Result<String, Failure>, NotMade<E>>
where
    S: Source<Connection: Transactions>,
    E: From<Error>,
{
    let conn = attempts.connection().await?;
    let (conn, is_ours, begun) = attempts.in_time(begin(update, conn)).await?;
    let value = match begun {
        Ok(value) => value,
        Err(failure) => return Ok(Err(failure)),
    };
    *runs += 1;
    let started = Instant::now();
    let made = make(options, value, change);
    attempts.deadline += started.elapsed();
    match made {
        Ok(value) => Ok(attempts.in_time(finish(update, conn, is_ours, value)).await?),
        Err(reason) => {
            // A server that does not answer even a rollback in time has lost the transaction.
            let _undone = attempts.in_time(undo(conn)).await;
            Err(reason)
        }
    }
}

async fn begin<C: Transactions, L: Lease<Target = C>>(
    update: Update,
    conn: L,
) -> (L, bool, Result<Option<String>, Failure>) {
    let mut busy = Busy::on(conn);
    let is_ours = !busy.conn().is_in_transaction();
    let begun = match update.begin(busy.conn()).await {
        Ok(value) => Ok(value),
        Err(error) => Err(Failure::of(error, busy.conn(), is_ours).await),
    };
    (busy.done(), is_ours, begun)
}

async fn finish<C: Transactions>(
    update: Update,
    conn: impl Lease<Target = C>,
    is_ours: bool,
    value: String,
) -> Result<String, Failure> {
    let mut busy = Busy::on(conn);
    let finished = match update.finish(busy.conn(), &value).await {
        Ok(()) => Ok(value),
        Err(NotWritten::Undone(error)) => Err(Failure::of(error, busy.conn(), is_ours).await),
        Err(NotWritten::AtCommit(error)) => {
            Err(Failure::of(error.into(), busy.conn(), is_ours).await.for_good())
        }
    };
    drop(busy.done());
    finished
}

async fn undo<C: Transactions>(conn: impl Lease<Target = C>) {
    let mut busy = Busy::on(conn);
    abandon(busy.conn()).await;
    drop(busy.done());
}
