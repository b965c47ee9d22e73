//! Several statements as one.

use diesel::prelude::*;

use crate::database::{Transactions as _, now_or_never};

/// At this isolation level a statement that waited for a lock sees what the other transaction committed, and no gap
/// between rows is locked. The server's default is another one.
pub(super) const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN";

/// Runs `work` in a transaction, or in a savepoint inside the caller's.
pub(super) fn atomically<T>(
    conn: &mut MysqlConnection,
    work: impl FnOnce(&mut MysqlConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    now_or_never(conn.begin())?;
    match work(conn) {
        Ok(done) => now_or_never(conn.commit()).map(|()| done),
        Err(error) => {
            // If this fails, the connection is in no state to go on, and the first error says why.
            let _undone = now_or_never(conn.roll_back());
            Err(error)
        }
    }
}
