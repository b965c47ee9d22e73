//! Ends many sessions, batch by batch. Each batch has its own transaction, so a million sessions end under any statement
//! timeout.

use std::future::Future;

use crate::error::Error;

/// Sessions per DELETE, which takes some ten milliseconds.
pub(super) const BATCH: u16 = 1_000;

/// The result of one batch.
pub(crate) struct Batch<O> {
    /// How many live sessions it ended.
    pub(super) ended: usize,
    /// The next batch, if something is left to do.
    pub(super) rest: Option<O>,
}

/// Runs batch after batch, and returns how many live sessions ended.
pub(crate) async fn in_batches<O, F>(
    first: Result<O, Error>,
    execute: impl Fn(Result<O, Error>) -> F,
) -> Result<usize, Error>
where
    F: Future<Output = Result<Batch<O>, Error>>,
{
    let (mut ended, mut next) = (0, Some(first));
    while let Some(batch) = next {
        match execute(batch).await {
            Ok(batch) => {
                ended += batch.ended;
                next = batch.rest.map(Ok);
            }
            Err(error) if ended == 0 => return Err(error),
            Err(error) => return Err(Error::PartlyCleared { ended, source: Box::new(error) }),
        }
    }
    Ok(ended)
}
