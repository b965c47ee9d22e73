//! An update: the caller's function makes the new value.

use std::time::{Duration, Instant};

use super::{Attempts, Busy, Failure, Lease, Source, ping};
use crate::database::{Queries as _, Transactions};
use crate::error::Error;
use crate::operations::{NotMade, NotWritten, Update, abandon, make};
use crate::options::Options;
use crate::trace::traced;

/// How often the caller's function may run in one update. Before its last run the update locks the session, so that no
/// other writer comes first again.
const RUNS: u32 = 3;

/// If the function takes that long, the connection may have been lost since the read. Then the update asks before it
/// writes, so that such a loss is not an unknown outcome.
const LONG: Duration = Duration::from_millis(100);

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
        let attempts = Attempts::of(source);
        let mut call = Call { options, update: update?, attempts, runs: 0, locks: false };
        loop {
            let error = match call.attempt(&mut change).await {
                Ok(Ok(Some(value))) => return Ok(value),
                Ok(Ok(None)) => continue,
                Ok(Err(failure)) if call.runs == RUNS => failure.into(),
                Ok(Err(failure)) => match call.attempts.go_on_after(failure) {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(NotMade::Ours(error)) => error,
                Err(not_made) => return Err(not_made),
            };
            return Err(NotMade::Ours(match error {
                // The connection was lost before COMMIT, so nothing was written.
                Error::ConnectionLost { source } if call.runs > 0 => {
                    Error::Interrupted { runs: call.runs, source }
                }
                other => other,
            }));
        }
    };
    traced(Update::NAME, S::Connection::NAME, work).await.map_err(NotMade::told)
}

/// One update with all its attempts.
struct Call<'a, S> {
    options: &'a Options,
    update: Update,
    attempts: Attempts<'a, S>,
    /// How often the caller's function has run.
    runs: u32,
    /// Whether the next attempt locks the session.
    locks: bool,
}

impl<S: Source<Connection: Transactions>> Call<'_, S> {
    /// Tries once. Returns the new value, or `None` if the function must run again because another writer came first.
    async fn attempt<E: From<Error>>(
        &mut self,
        change: &mut impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<Result<Option<String>, Failure>, NotMade<E>> {
        let (update, locks) = (self.update, self.locks);
        let conn = self.attempts.connection().await?;
        let (conn, is_ours, read) = self.attempts.in_time(read(update, conn, locks)).await?;
        let read = match read {
            Ok(read) => read,
            Err(failure) => return Ok(Err(failure)),
        };
        self.runs += 1;
        let started = Instant::now();
        let made = make(self.options, read.clone(), change);
        let taken = started.elapsed();
        self.attempts.deadline += taken;
        let written = match made {
            Ok(value) if locks => {
                self.attempts.in_time(finish(update, conn, is_ours, value)).await?.map(Some)
            }
            Ok(value) => {
                let asks = is_ours && taken >= LONG;
                self.attempts.in_time(write(update, conn, is_ours, asks, (read, value))).await?
            }
            Err(reason) => {
                if locks {
                    // A server that does not answer even a rollback in time has lost the transaction.
                    let _undone = self.attempts.in_time(undo(conn)).await;
                }
                return Err(reason);
            }
        };
        // On PostgreSQL and SQLite, a connection that takes no writes refuses the lock before the function runs.
        self.locks = self.runs + 1 >= RUNS || locks || matches!(written, Err(Failure::ReadOnly(_)));
        Ok(written)
    }
}

/// Reads the value. With `locks` it first locks the session.
async fn read<C: Transactions, L: Lease<Target = C>>(
    update: Update,
    conn: L,
    locks: bool,
) -> (L, bool, Result<Option<String>, Failure>) {
    let mut busy = Busy::on(conn);
    let is_ours = !busy.conn().is_in_transaction();
    let read = if locks { update.begin(busy.conn()).await } else { update.read(busy.conn()).await };
    let read = match read {
        Ok(value) => Ok(value),
        Err(error) => Err(Failure::of(error, busy.conn(), is_ours).await),
    };
    (busy.done(), is_ours, read)
}

/// Writes the value if the session still has the one that was read. With `asks` it first asks whether the connection is
/// alive.
async fn write<C: Transactions>(
    update: Update,
    conn: impl Lease<Target = C>,
    is_ours: bool,
    asks: bool,
    (read, value): (Option<String>, String),
) -> Result<Option<String>, Failure> {
    let mut busy = Busy::on(conn);
    let asked = if C::REMOTE && asks { ping(busy.conn()).await } else { Ok(()) };
    let written = match asked {
        Ok(()) => match update.write(busy.conn(), read.as_deref(), &value).await {
            Ok(is_written) => Ok(is_written.then_some(value)),
            Err(error) => Err(Failure::of(error, busy.conn(), is_ours).await.for_good()),
        },
        Err(lost) => Err(lost),
    };
    drop(busy.done());
    written
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
