//! A transaction around several statements.

use diesel::QueryResult;

use crate::database::Transactions;
use crate::error::Error;

/// An open transaction, or a savepoint in the caller's. Dropped before its end it takes the connection along: else a
/// caller's COMMIT around it would end the savepoint alone, and report what was never committed.
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

    /// One that was begun.
    pub(super) fn of(conn: &'a mut C) -> Self {
        Self(Some(conn))
    }

    pub(super) fn conn(&mut self) -> &mut C {
        self.0.as_mut().expect("it is open until it ends")
    }

    /// It stays open.
    pub(super) fn leave_open(mut self) {
        self.0 = None;
    }

    pub(super) async fn commit(mut self) -> QueryResult<()> {
        let committed = self.conn().commit().await;
        self.0 = None;
        committed
    }

    /// Where even that fails the connection is lost, which Diesel remembers.
    pub(super) async fn roll_back(mut self) {
        let _lost = self.conn().roll_back().await;
        self.0 = None;
    }

    /// Ends it: to stay if the work says that it was done, or as if it had never been.
    #[cfg(feature = "web")]
    pub(super) async fn end_if(self, done: Result<bool, Error>) -> Result<bool, Error> {
        if let Ok(false) = done {
            self.roll_back().await;
            return Ok(false);
        }
        self.end(done).await
    }

    /// Ends it: to stay, or as if it had never been.
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

/// Undoes what was begun.
pub(crate) async fn abandon<C: Transactions>(conn: &mut C) {
    Transaction::of(conn).roll_back().await;
}
