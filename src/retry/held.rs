//! Calls on a connection that the caller holds. They run once, because the store does not know the caller's
//! transaction.

use std::future::Future;
use std::ops::DerefMut;

use crate::database::{Queries, Transactions};
use crate::error::Error;
use crate::operations::{NotMade, Operation, Update, abandon, make};
use crate::options::Options;
use crate::trace::traced;

/// Runs an operation on the connection. If the operation was refused, it does not even ask for the connection.
pub(crate) async fn run_on<C, L, F, O>(
    conn: impl FnOnce() -> F,
    operation: Result<O, Error>,
) -> Result<O::Output, Error>
where
    C: Queries,
    L: DerefMut<Target = C>,
    F: Future<Output = Result<L, Error>>,
    O: Operation<C>,
{
    let work = async {
        let mut operation = operation?;
        operation.run(&mut *conn().await?, false).await
    };
    traced(O::NAME, C::NAME, work).await
}

/// Updates a session with the caller's function.
pub(crate) async fn update_on<C, L, F, E>(
    conn: impl FnOnce() -> F,
    options: &Options,
    update: Result<Update, Error>,
    mut change: impl FnMut(Option<String>) -> Result<String, E>,
) -> Result<String, E>
where
    C: Transactions,
    L: DerefMut<Target = C>,
    F: Future<Output = Result<L, Error>>,
    E: From<Error>,
{
    let work = async {
        let update = update?;
        let mut conn = conn().await?;
        let value = update.begin(&mut *conn).await?;
        match make(options, value, &mut change) {
            Ok(value) => match update.finish(&mut *conn, &value).await {
                Ok(()) => Ok(value),
                Err(reason) => Err(NotMade::Ours(reason.into())),
            },
            Err(reason) => {
                abandon(&mut *conn).await;
                Err(reason)
            }
        }
    };
    traced(Update::NAME, C::NAME, work).await.map_err(NotMade::told)
}
