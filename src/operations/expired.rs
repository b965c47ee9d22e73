//! Counts sessions, and deletes expired ones.

use super::Operation;
use crate::database::Queries;
use crate::error::Error;
use crate::session::SessionCount;

/// Deletes one batch of expired sessions, and returns how many it deleted.
pub(crate) struct DeleteExpired {
    pub(crate) limit: u32,
}

impl<C: Queries> Operation<C> for DeleteExpired {
    type Output = usize;
    const NAME: &'static str = "delete_expired";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<usize, Error> {
        if self.limit == 0 {
            return Ok(0);
        }
        Ok(conn.delete_expired(self.limit).await?)
    }
}

/// Counts sessions.
pub(crate) struct Count;

impl<C: Queries> Operation<C> for Count {
    type Output = SessionCount;
    const NAME: &'static str = "count";

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<SessionCount, Error> {
        let (all, live) = conn.count().await?;
        Ok(SessionCount { live: live.unsigned_abs(), expired: (all - live).unsigned_abs() })
    }
}
