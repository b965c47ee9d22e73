//! Reading a value and writing another, with nobody in between: under a lock, or by comparing.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::TimeDelta;

use super::{Operation, abandon};
use crate::backend::Queries;
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::rules::{Expiry, Rules};
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
    pub(crate) fn begin<C: Queries>(&self, conn: &mut C) -> Result<Option<String>, Error> {
        conn.begin()?;
        let unread = match conn.lock_live(&self.key) {
            Ok(Some((value,))) => return Ok(value),
            Ok(None) => Error::NotFound,
            Err(error) => error.into(),
        };
        abandon(conn);
        Err(unread)
    }

    /// Writes the value and ends the transaction.
    pub(crate) fn finish<C: Queries>(&self, conn: &mut C, value: &str) -> Result<(), NotWritten> {
        let unwritten = match conn.update_live(&self.key, value, self.expiry) {
            Ok(true) => return conn.commit().map_err(NotWritten::AtCommit),
            // It expired meanwhile.
            Ok(false) => Error::NotFound,
            Err(error) => error.into(),
        };
        abandon(conn);
        Err(NotWritten::Undone(unwritten))
    }
}

/// What a caller's function made of a value.
pub(crate) enum Change<E> {
    /// A value that the rules allow.
    To(String),
    /// It failed, or made what the rules forbid.
    Failed(E),
    /// To go on with when the transaction is undone.
    Panicked(Box<dyn Any + Send>),
}

pub(crate) fn make<E: From<Error>>(
    rules: &Rules,
    value: Option<String>,
    change: &mut impl FnMut(Option<String>) -> Result<String, E>,
) -> Change<E> {
    match catch_unwind(AssertUnwindSafe(|| change(value))) {
        Ok(Ok(made)) => match rules.check_value(&made) {
            Ok(()) => Change::To(made),
            Err(refused) => Change::Failed(refused.into()),
        },
        Ok(Err(failed)) => Change::Failed(failed),
        Err(panic) => Change::Panicked(panic),
    }
}

/// Why an update was not made.
pub(crate) enum NotMade<E> {
    Ours(Error),
    /// By the caller's function.
    Theirs(E),
}

impl<E: From<Error>> NotMade<E> {
    /// As the caller hears of it.
    pub(crate) fn told(self) -> E {
        match self {
            Self::Ours(error) => error.into(),
            Self::Theirs(error) => error,
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
        }
    }

    fn failure(&self) -> Option<&Error> {
        match self {
            Self::Ours(error) => error.failure(),
            Self::Theirs(_) => None,
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
        expected.as_ref().map_or(Ok(()), |expected| rules.check_value(expected.as_ref()))?;
        rules.check_value(new.as_ref())?;
        Ok(Self { key: rules.stored_key(key), expected, new, expiry: rules.expiry(expiry)? })
    }
}

impl<C: Queries, V: AsRef<str>> Operation<C> for Replace<V> {
    type Output = ();
    const NAME: &'static str = "replace";
    /// A value that is the new one already may be another's.
    const REPEATABLE: bool = false;

    fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        let expected = self.expected.as_ref().map(AsRef::as_ref);
        if conn.replace_live(&self.key, expected, self.new.as_ref(), self.expiry)? {
            return Ok(());
        }
        match conn.load_live(&self.key)? {
            Some(_another) => Err(Error::Changed),
            None => Err(Error::NotFound),
        }
    }
}
