//! A call that takes many batches, each committed on its own and with its own deadline.

use super::{Source, run};
use crate::backend::{OwnerQueries, Queries as _, Transactions};
use crate::error::Error;
use crate::operations::{Batch, ClearOwner};
use crate::trace::traced;

/// Ends all sessions of an owner and returns how many were live.
pub(crate) async fn clear_owner<S>(source: &S, clear: Result<ClearOwner, Error>) -> Result<usize, Error>
where
    S: Source<Connection: OwnerQueries + Transactions>,
{
    let work = async {
        let (mut ended, mut rest) = (0, Some(clear?));
        while let Some(clear) = rest {
            match run(source, clear).await {
                Ok(Batch { ended: these, rest: others }) => {
                    ended += these;
                    rest = others;
                }
                Err(error) if ended == 0 => return Err(error),
                Err(error) => return Err(Error::PartlyCleared { ended, source: Box::new(error) }),
            }
        }
        Ok(ended)
    };
    traced(ClearOwner::NAME, S::Connection::NAME, work).await
}
