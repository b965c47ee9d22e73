//! Runs calls on connections that a pool lends. If a connection is lost, a call tries another one until its deadline.
//! The code is the same for pools that block and for those that do not.

use std::future::Future;
use std::ops::DerefMut;
use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::database::{Liveness, Queries as _};
use crate::error::Error;
use crate::operations::Operation;
use crate::trace::traced;

mod answers;
mod attempts;
mod failure;
mod held;
mod update;

pub(crate) use answers::Answers;
use attempts::Attempts;
pub(crate) use attempts::Verdict;
use failure::Failure;
pub(crate) use held::{run_on, update_on};
pub(crate) use update::call_update;

/// Work that waits for the database. It is on the heap, so another task can finish it, and it takes no room in the
/// future that awaits it.
pub(crate) type Job<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// A lent connection. It goes back to the pool when it is dropped.
pub(crate) trait Lease: DerefMut<Target: Liveness> + Send + Sized + 'static {
    /// Gives up the connection because its work has not ended, and its caller has left. No other call may use the
    /// connection.
    fn abandon(mut self) {
        self.give_up();
    }
}

/// Lends connections, and waits for the work on them.
pub(crate) trait Source: Sync {
    type Connection: Liveness + 'static;

    type Lease: Lease<Target = Self::Connection>;

    /// Lends a connection. If it cannot do so within that time, it returns the reason as an error.
    fn connection(&self, within: Duration) -> impl Future<Output = Result<Self::Lease, Error>> + Send;

    /// Runs the job. At the deadline it stops waiting and returns `Error::ServerTimeout`.
    fn in_time<R: Send + 'static>(
        &self,
        deadline: Instant,
        job: Job<R>,
    ) -> impl Future<Output = Result<R, Error>> + Send;

    /// Returns how long one call may take, with all its attempts.
    fn call_timeout(&self) -> Duration;

    /// Returns the largest number of connections. After a call has lost that many, the next one is new.
    fn size(&self) -> u32;

    /// Returns the present number of connections. If that many were read-only, the next one is new.
    fn connections(&self) -> u32;

    /// Returns the error of a call that lost its connection and got no other.
    fn without_another(&self, lost: diesel::result::Error, _began: Instant) -> Error {
        Error::ConnectionLost { source: lost }
    }

    /// Returns whether all connections were read-only a moment ago.
    fn verdict(&self) -> &Verdict;
}

/// Runs an operation on a lent connection. If the connection turns out to be lost, it tries another one.
pub(crate) async fn call<S, O>(source: &S, operation: Result<O, Error>) -> Result<O::Output, Error>
where
    S: Source,
    O: Operation<S::Connection> + 'static,
{
    traced(O::NAME, S::Connection::NAME, async { run(source, operation?).await }).await
}

async fn run<S, O>(source: &S, mut operation: O) -> Result<O::Output, Error>
where
    S: Source,
    O: Operation<S::Connection> + 'static,
{
    let mut attempts = Attempts::of(source);
    loop {
        let conn = attempts.connection().await?;
        let repeated = attempts.lost.is_some();
        let (back, result) = attempts.in_time(attempt(operation, conn, repeated)).await?;
        match result {
            Ok(output) => return Ok(output),
            // An earlier attempt of this call may have made the change that this one found.
            Err(Failure::Other(Error::Changed)) if repeated && O::REPEATABLE => {
                return Err(attempts
                    .lost
                    .take()
                    .map_or(Error::Changed, |source| Error::OutcomeUnknown { source }));
            }
            Err(failure) => attempts.go_on_after(failure)?,
        }
        operation = back;
    }
}

/// A lent connection with unfinished work. If it is dropped before `done` is called, it is abandoned, so no other call
/// gets it.
struct Busy<L: Lease>(Option<L>);

impl<L: Lease> Busy<L> {
    fn on(conn: L) -> Self {
        Self(Some(conn))
    }

    fn conn(&mut self) -> &mut L::Target {
        self.0.as_mut().expect("it is here until it is done")
    }

    fn done(mut self) -> L {
        self.0.take().expect("it is done once")
    }
}

impl<L: Lease> Drop for Busy<L> {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            conn.abandon();
        }
    }
}

/// Runs the operation once. Then it gives the connection back to the pool, and returns the operation to the caller.
async fn attempt<C, O>(
    mut operation: O,
    conn: impl Lease<Target = C>,
    repeated: bool,
) -> (O, Result<O::Output, Failure>)
where
    C: Liveness,
    O: Operation<C>,
{
    let mut busy = Busy::on(conn);
    let result = run_once(&mut operation, busy.conn(), repeated).await;
    drop(busy.done());
    (operation, result)
}

async fn run_once<C, O>(operation: &mut O, conn: &mut C, repeated: bool) -> Result<O::Output, Failure>
where
    C: Liveness,
    O: Operation<C>,
{
    let is_ours = !conn.is_in_transaction();
    if C::REMOTE && is_ours && !O::REPEATABLE {
        // If the connection broke in the pool, the operation is never sent. Without the ping, its outcome would count
        // as unknown.
        ping(conn).await?;
    }
    match operation.run(conn, repeated).await {
        Ok(output) => Ok(output),
        Err(error) => {
            let failure = Failure::of(error, conn, is_ours).await;
            Err(if O::REPEATABLE { failure } else { failure.for_good() })
        }
    }
}

/// Fails if the connection does not answer. The pool then drops it.
async fn ping<C: Liveness>(conn: &mut C) -> Result<(), Failure> {
    match conn.ping().await {
        Ok(()) => Ok(()),
        Err(source) => {
            conn.give_up();
            Err(Failure::Lost(source))
        }
    }
}

/// Lends a connection that answers.
pub(crate) async fn connection<S: Source>(source: &S) -> Result<S::Lease, Error> {
    let mut attempts = Attempts::of(source);
    loop {
        let conn = attempts.connection().await?;
        match attempts.in_time(tested(conn)).await? {
            (conn, Ok(())) => return Ok(conn),
            (_, Err(failure)) => attempts.go_on_after(failure)?,
        }
    }
}

/// Pings the connection, and returns it.
async fn tested<C: Liveness, L: Lease<Target = C>>(conn: L) -> (L, Result<(), Failure>) {
    let mut busy = Busy::on(conn);
    let conn = busy.conn();
    // A test's transaction exists on this connection only, so another one could not replace it.
    let is_replaceable = C::REMOTE && !conn.is_in_transaction();
    let answered = if is_replaceable { ping(conn).await } else { Ok(()) };
    (busy.done(), answered)
}
