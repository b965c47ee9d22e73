//! Calls on a connection that the caller holds: once, for nothing is known of the caller's transaction.

use crate::backend::{OwnerQueries, Queries, Transactions};
use crate::error::Error;
use crate::operations::{ClearOwner, NotMade, Operation, Update, abandon, clear_owner_at_once, make};
use crate::rules::Rules;
use crate::trace::traced;

/// Runs an operation.
pub(crate) async fn run_on<C, O>(conn: &mut C, operation: Result<O, Error>) -> Result<O::Output, Error>
where
    C: Queries,
    O: Operation<C>,
{
    traced(O::NAME, C::NAME, async { operation?.run(conn, false).await }).await
}

/// Ends all sessions of an owner, in one transaction.
pub(crate) async fn clear_owner_on<C>(conn: &mut C, clear: Result<ClearOwner, Error>) -> Result<usize, Error>
where
    C: OwnerQueries + Transactions,
{
    traced(ClearOwner::NAME, C::NAME, async { clear_owner_at_once(clear?, conn).await }).await
}

/// Updates by the caller's function.
pub(crate) async fn update_on<C, E>(
    conn: &mut C,
    rules: &Rules,
    update: Result<Update, Error>,
    mut change: impl FnMut(Option<String>) -> Result<String, E>,
) -> Result<String, E>
where
    C: Transactions,
    E: From<Error>,
{
    let work = async {
        let update = update?;
        let value = update.begin(conn).await?;
        match make(rules, value, &mut change) {
            Ok(value) => match update.finish(conn, &value).await {
                Ok(()) => Ok(value),
                Err(reason) => Err(NotMade::Ours(reason.into())),
            },
            Err(reason) => {
                abandon(conn).await;
                Err(reason)
            }
        }
    };
    traced(Update::NAME, C::NAME, work).await.map_err(NotMade::told)
}
