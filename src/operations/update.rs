//! Reads a value and writes another one, with no other write in between. It compares the value, or it locks the
//! session.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::Operation;
use super::transaction::Transaction;
use crate::database::{Queries, Transactions};
use crate::error::Error;
use crate::key::{SessionKey, StoredKey};
use crate::options::{Options, Renewal, check_text};
use crate::session::Expiry;
use crate::trace::Outcome;

/// A read and a write, in two steps. The store runs the caller's function between them. Either the write compares the
/// value with the one that was read, or both are in one transaction.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "it holds a key")]
pub struct Update {
    key: StoredKey,
    renewal: Renewal,
}

/// Why an update wrote nothing.
pub(crate) enum NotWritten {
    /// The transaction was rolled back.
    Undone(Error),
    /// COMMIT failed. If the connection was lost, the outcome is unknown.
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

    pub(crate) fn new(options: &Options, key: &SessionKey, expiry: Expiry) -> Result<Self, Error> {
        Ok(Self { key: options.stored_key(key), renewal: options.renewal(expiry)? })
    }

    /// Reads the session's value.
    pub(crate) async fn read<C: Queries>(&self, conn: &mut C) -> Result<Option<String>, Error> {
        conn.load_live(&self.key).await?.map(|(value, _)| value).ok_or(Error::NotFound)
    }

    /// Writes the new value if the session still has the one that was read. Returns `false` if it has another one, or
    /// if it has ended.
    pub(crate) async fn write<C: Queries>(
        &self,
        conn: &mut C,
        read: Option<&str>,
        value: &str,
    ) -> Result<bool, Error> {
        Ok(conn.replace_live(&self.key, read, value, self.renewal).await?)
    }

    /// Begins a transaction, locks the session and reads its value. After an error no transaction is open.
    pub(crate) async fn begin<C: Transactions>(&self, conn: &mut C) -> Result<Option<String>, Error> {
        let mut transaction = Transaction::begin(conn).await?;
        let unread = match transaction.conn().lock_live(&self.key).await {
            Ok(Some((value, ..))) => {
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
        let unwritten = match transaction.conn().update_live(&self.key, value, self.renewal).await {
            Ok(true) => return transaction.commit().await.map_err(NotWritten::AtCommit),
            // The session expired in between.
            Ok(false) => Error::NotFound,
            Err(error) => error.into(),
        };
        transaction.roll_back().await;
        Err(NotWritten::Undone(unwritten))
    }
}

/// Runs the caller's function on a value, and checks the result against the options.
pub(crate) fn make<E: From<Error>>(
    options: &Options,
    value: Option<String>,
    change: &mut impl FnMut(Option<String>) -> Result<String, E>,
) -> Result<String, NotMade<E>> {
    let _until_it_returns = Updating::begin(options);
    match catch_unwind(AssertUnwindSafe(|| change(value))) {
        Ok(Ok(made)) => options.check_value(&made).map(|()| made).map_err(NotMade::Ours),
        Ok(Err(failed)) => Err(NotMade::Theirs(failed)),
        Err(panic) => Err(NotMade::Panicked(panic)),
    }
}

thread_local! {
    /// The stores with an update that runs its function on this thread, by the address of their options.
    static UPDATING: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// As long as it lives, the function of an update runs on this thread.
pub(crate) struct Updating;

impl Updating {
    pub(crate) fn begin(store: &Options) -> Self {
        UPDATING.with_borrow_mut(|stores| stores.push(address(store)));
        Self
    }
}

impl Drop for Updating {
    fn drop(&mut self) {
        UPDATING.with_borrow_mut(Vec::pop);
    }
}

fn address(store: &Options) -> usize {
    std::ptr::from_ref(store).addr()
}

/// Refuses a call to a store by the function of an update of the same store, because the call would wait for itself.
pub(crate) fn outside_of_updates(store: &Options) -> Result<(), Error> {
    let is_within = UPDATING.try_with(|stores| stores.borrow().contains(&address(store)));
    // A thread that is ending has no list any more, and no function runs on it.
    if is_within.unwrap_or(false) { Err(Error::WithinUpdate) } else { Ok(()) }
}

/// Why an update was not made.
pub(crate) enum NotMade<E> {
    Ours(Error),
    /// The caller's function failed with this error.
    Theirs(E),
    /// The caller's function panicked with this.
    Panicked(Box<dyn Any + Send>),
}

impl<E: From<Error>> NotMade<E> {
    /// Returns the error for the caller. If the function panicked, the panic continues.
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

/// Sets a value if the present one is the expected one.
pub(crate) struct Replace {
    key: StoredKey,
    expected: Option<String>,
    new: String,
    renewal: Renewal,
}

impl Replace {
    pub(crate) fn new(
        options: &Options,
        key: &SessionKey,
        expected: Option<&str>,
        new: &str,
        expiry: Expiry,
    ) -> Result<Self, Error> {
        // It may be longer than the limit, because the limit may have been lowered since.
        expected.map_or(Ok(()), check_text)?;
        options.check_value(new)?;
        let (key, renewal) = (options.stored_key(key), options.renewal(expiry)?);
        Ok(Self { key, expected: expected.map(str::to_owned), new: new.to_owned(), renewal })
    }
}

impl<C: Queries> Operation<C> for Replace {
    type Output = ();
    const NAME: &'static str = "replace";
    /// If the value is the new one already, another writer may have set it.
    const REPEATABLE: bool = false;

    async fn run(&mut self, conn: &mut C, _repeated: bool) -> Result<(), Error> {
        if conn.replace_live(&self.key, self.expected.as_deref(), &self.new, self.renewal).await? {
            return Ok(());
        }
        Err(if conn.is_live(&self.key).await? { Error::Changed } else { Error::NotFound })
    }
}
