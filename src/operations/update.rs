//! Reading a value and writing another, with nobody in between: under a lock, or by comparing.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use chrono::TimeDelta;

use super::Operation;
use super::transaction::Transaction;
use crate::backend::{Queries, Transactions};
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::rules::{Expiry, Rules, check_text};
use crate::trace::Outcome;

/// A read and a write in one transaction, step by step: whoever has a connection makes the new value in between.
#[derive(Clone, Copy)]
pub(crate) struct Update {
    key: StoredKey,
    expiry: Expiry,
}

/// Why an update wrote nothing.
pub(crate) enum NotWritten {
    /// It was undone.
    Undone(Error),
    /// The transaction's end failed: on a lost connection nobody knows how it ended.
    AtCommit(diesel::result::Error),
}

impl From<NotWritten> for Error {
    fn from(reason: NotWritten) -> Self {
        match reason {
            NotWritten::Undone(error) => error,
            NotWritten::AtCommit(error) => Self::Database(error),
        }
    }
}

impl Update {
    pub(crate) const NAME: &'static str = "update";

    pub(crate) fn new(rules: &Rules, key: &SessionKey, expiry: Option<TimeDelta>) -> Result<Self, Error> {
        Ok(Self { key: rules.stored_key(key), expiry: rules.expiry(expiry)? })
    }

    /// Begins a transaction and reads the value, which nobody else writes from now on. After an error nothing is
    /// begun.
    pub(crate) async fn begin<C: Transactions>(&self, conn: &mut C) -> Result<Option<String>, Error> {
        let mut transaction = Transaction::begin(conn).await?;
        let unread = match transaction.conn().lock_live(&self.key).await {
            Ok(Some((value,))) => {
                transaction.leave_open();
                return Ok(value);
            }
            Ok(None) => Error::NotFound,
            Err(error) => error.into(),
        };
        transaction.roll_back().await;
        Err(unread)
    }

    /// Writes the value and ends the transaction.
    pub(crate) async fn finish<C: Transactions>(&self, conn: &mut C, value: &str) -> Result<(), NotWritten> {
        let mut transaction = Transaction::of(conn);
        let unwritten = match transaction.conn().update_live(&self.key, value, self.expiry).await {
            Ok(true) => return transaction.commit().await.map_err(NotWritten::AtCommit),
            // It expired meanwhile.
            Ok(false) => Error::NotFound,
            Err(error) => error.into(),
        };
        transaction.roll_back().await;
        Err(NotWritten::Undone(unwritten))
    }
}

/// What a caller's function makes of a value, where the rules allow that.
pub(crate) fn make<E: From<Error>>(
    rules: &Rules,
    value: Option<String>,
    change: &mut impl FnMut(Option<String>) -> Result<String, E>,
) -> Result<String, NotMade<E>> {
    match catch_unwind(AssertUnwindSafe(|| change(value))) {
        Ok(Ok(made)) => rules.check_value(&made).map(|()| made).map_err(NotMade::Ours),
        Ok(Err(failed)) => Err(NotMade::Theirs(failed)),
        Err(panic) => Err(NotMade::Panicked(panic)),
    }
}

/// Why an update was not made.
pub(crate) enum NotMade<E> {
    Ours(Error),
    /// By the caller's function.
    Theirs(E),
    /// The caller's function panicked with this.
    Panicked(Box<dyn Any + Send>),
}

impl<E: From<Error>> NotMade<E> {
    /// As the caller hears of it: a panic goes on.
    pub(crate) fn told(self) -> E {
        match self {
            Self::Ours(error) => error.into(),
            Self::Theirs(error) => error,
            Self::Panicked(panic) => resume_unwind(panic),
        }
    }
}

impl<E> From<Error> for NotMade<E> {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl<E> Outcome for NotMade<E> {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Ours(error) => error.outcome(),
            Self::Theirs(_) => "abandoned",
            Self::Panicked(_) => "panicked",
        }
    }

    fn failure(&self) -> Option<&Error> {
        match self {
            Self::Ours(error) => error.failure(),
            Self::Theirs(_) | Self::Panicked(_) => None,
        }
    }
}

/// Sets a value where it is the expected one.
pub(crate) struct Replace<V> {
    key: StoredKey,
    expected: Option<V>,
    new: V,
    expiry: Expiry,
}

impl<V: AsRef<str>> Replace<V> {
    pub(crate) fn new(
        rules: &Rules,
        key: &SessionKey,
        expected: Option<V>,
        new: V,
        expiry: Option<TimeDelta>,
    ) -> Result<Self, Error> {
        // It may be from before the limit was lowered.
        expected.as_ref().map_or(Ok(()), |expected| check_text(expected.as_ref()))?;
        rules.check_value(new.as_ref())?;
        Ok(Self { key: rules.stored_key(key), expected, new, expiry: rules.expiry(expiry)? })
    }
}

impl<C: Queries, V: AsRef<str> + Send + Sync> Operation<C> for Replace<V> {
    type Output = ();
    const NAME: &'static str = "replace";
    /// A value that is the new one already may be another's.
    const REPEATABLE: bool = false;

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        let expected = self.expected.as_ref().map(AsRef::as_ref);
        if conn.replace_live(&self.key, expected, self.new.as_ref(), self.expiry).await? {
            return Ok(());
        }
        Err(if conn.is_live(&self.key).await? { Error::Changed } else { Error::NotFound })
    }
}
