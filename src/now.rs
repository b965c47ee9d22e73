//! The contract of a session store, on one screen.

/// A session store whose operations are done when they return: *now* as opposed to *later* (a future),
/// not a clock.
///
/// The interface of OCaml's `Session.S.Now`, carried over. A session is a value under a key, with a
/// period after which it is dead. A key that is unknown, cleared, expired or malformed means the same
/// thing everywhere, *not found*; every other error is a failure of the system or a refused argument.
///
/// | operation | missing, cleared or expired | live, without a value | live, with a value |
/// |---|---|---|---|
/// | `get` | not found | not set | the value and what is left of its period |
/// | `set` | not found: nothing is created or revived | sets value and expiry | replaces value and expiry |
/// | `clear` | nothing to do | the session is gone | the session is gone |
///
/// # Examples
///
/// ```
/// use diesel_session::{Error, MemorySession, Now, TimeDelta};
///
/// let sessions = MemorySession::new();
/// let key = sessions.generate(Some("cart=3"), Some(TimeDelta::minutes(30)))?;
///
/// let (value, left) = sessions.get(&key)?;
/// assert_eq!(value, "cart=3");
/// assert!(left <= TimeDelta::minutes(30));
///
/// sessions.clear(&key)?;
/// assert!(matches!(sessions.get(&key), Err(Error::NotFound)));
/// # Ok::<(), Error>(())
/// ```
pub trait Now {
    /// The type of a session key.
    type Key;
    /// The type of a session value, as it is lent to the store: `str` for the stores of this crate.
    type Value: ?Sized + ToOwned;
    /// The type of a session's period: a duration, and signed.
    type Period;
    /// The type of an error.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The period of sessions that are generated or set without an expiry of their own.
    fn default_period(&self) -> Self::Period;

    /// Sets the default period of this handle and its clones. Only later operations see it.
    ///
    /// # Errors
    ///
    /// A period that the store cannot hold is refused, and the old one stays.
    fn set_default_period(&self, period: Self::Period) -> Result<(), Self::Error>;

    /// Starts a session under a new, unguessable key and returns the key.
    ///
    /// The session expires `expiry` from now, or the default period from now. A zero or negative
    /// expiry is legal: the session is born expired. Without a value, [`get`](Now::get) answers
    /// *not set* until the first [`set`](Now::set).
    ///
    /// # Errors
    ///
    /// A value or an expiry that the store cannot hold is refused, and nothing is written.
    fn generate(
        &self,
        value: Option<&Self::Value>,
        expiry: Option<Self::Period>,
    ) -> Result<Self::Key, Self::Error>;

    /// Ends the session: afterwards its key is absent for every operation. Idempotent.
    ///
    /// The stores of this crate also end the session if it got another key in the last ten minutes: by
    /// [`rotate`](crate::Sessions::rotate), or by a web framework. So a logout is final that another request's login has
    /// overtaken.
    ///
    /// # Errors
    ///
    /// Only when the store fails; a session that is not there is no error.
    fn clear(&self, key: &Self::Key) -> Result<(), Self::Error>;

    /// The session's value, and what is left of its period: never more than was asked for.
    ///
    /// # Errors
    ///
    /// *Not found* for a session that is unknown, cleared or expired; *not set* for a live one that
    /// has no value yet. An empty value is a value.
    #[allow(clippy::type_complexity, reason = "the original's pair, with a value that the caller owns")]
    fn get(&self, key: &Self::Key) -> Result<(<Self::Value as ToOwned>::Owned, Self::Period), Self::Error>;

    /// Sets a live session's value, and its expiry to `expiry` from now, or the default period from now.
    ///
    /// A statement of a database judges whether the session is live when it arrives. If it then waits for another
    /// writer of the same row, it can succeed although the session expired during the wait. The statement timeout
    /// bounds that wait.
    ///
    /// # Errors
    ///
    /// *Not found* for a session that is unknown, cleared or expired: a client cannot choose a key,
    /// and no write is lost in silence. A value or an expiry that the store cannot hold is refused,
    /// and nothing is written.
    fn set(
        &self,
        key: &Self::Key,
        value: &Self::Value,
        expiry: Option<Self::Period>,
    ) -> Result<(), Self::Error>;
}

macro_rules! forward_to_pointee {
    ($pointer:ty) => {
        impl<S: Now + ?Sized> Now for $pointer {
            type Key = S::Key;
            type Value = S::Value;
            type Period = S::Period;
            type Error = S::Error;

            fn default_period(&self) -> S::Period {
                (**self).default_period()
            }

            fn set_default_period(&self, period: S::Period) -> Result<(), S::Error> {
                (**self).set_default_period(period)
            }

            fn generate(
                &self,
                value: Option<&S::Value>,
                expiry: Option<S::Period>,
            ) -> Result<S::Key, S::Error> {
                (**self).generate(value, expiry)
            }

            fn clear(&self, key: &S::Key) -> Result<(), S::Error> {
                (**self).clear(key)
            }

            fn get(&self, key: &S::Key) -> Result<(<S::Value as ToOwned>::Owned, S::Period), S::Error> {
                (**self).get(key)
            }

            fn set(&self, key: &S::Key, value: &S::Value, expiry: Option<S::Period>) -> Result<(), S::Error> {
                (**self).set(key, value, expiry)
            }
        }
    };
}

forward_to_pointee!(&S);
forward_to_pointee!(Box<S>);
forward_to_pointee!(std::sync::Arc<S>);
