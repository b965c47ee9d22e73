//! A transaction around several statements.

use diesel::QueryResult;

use crate::database::Transactions;
use crate::error::Error;

/// An open transaction, or a savepoint in the caller's. If it is dropped before its end, it makes the connection
/// unusable. Otherwise the caller's COMMIT would only end the savepoint, and would report a commit that never happened.
pub(super) struct Transaction<'a, C: Transactions>(Option<&'a mut C>);

impl<'a, C: Transactions> Transaction<'a, C> {
    pub(super) async fn begin(conn: &'a mut C) -> QueryResult<Self> {
        let mut transaction = Self::of(conn);
        let begun = transaction.conn().begin().await;
        if begun.is_err() {
            transaction.0 = None;
        }
        begun.map(|()| transaction)
    }

    /// A transaction that has begun already.
    pub(super) fn of(conn: &'a mut C) -> Self {
        Self(Some(conn))
    }

    pub(super) fn conn(&mut self) -> &mut C {
        self.0.as_mut().expect("it is open until it ends")
    }

    /// Leaves the transaction open.
    pub(super) fn leave_open(mut self) {
        self.0 = None;
    }

    pub(super) async fn commit(mut self) -> QueryResult<()> {
        let committed = self.conn().commit().await;
        self.0 = None;
        committed
    }

    /// Rolls back. If that fails, the connection is lost, and Diesel remembers that.
    pub(super) async fn roll_back(mut self) {
        let _lost = self.conn().roll_back().await;
        self.0 = None;
    }

    /// Commits if the work was done. Rolls back if it was not, or if it failed.
    #[cfg(feature = "web")]
    pub(super) async fn end_if(self, done: Result<bool, Error>) -> Result<bool, Error> {
        if let Ok(false) = done {
            self.roll_back().await;
            return Ok(false);
        }
        self.end(done).await
    }

    /// Commits if the work succeeded. Rolls back if it failed.
    pub(super) async fn end<T>(self, done: Result<T, Error>) -> Result<T, Error> {
        match done {
            Ok(done) => {
                self.commit().await?;
                Ok(done)
            }
            Err(error) => {
                self.roll_back().await;
                Err(error)
            }
        }
    }
}

impl<C: Transactions> Drop for Transaction<'_, C> {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            conn.give_up();
        }
    }
}

/// Rolls back the transaction that was begun.
pub(crate) async fn abandon<C: Transactions>(conn: &mut C) {
    Transaction::of(conn).roll_back().await;
}
