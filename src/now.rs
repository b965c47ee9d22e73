//! The contract of a blocking session store: [`Now`].

/// A session store whose operations are complete when they return. *Now* means synchronous, not a clock.
///
/// It carries over the interface of OCaml's `Session.S.Now`. A session is a value under a key. After its period it is
/// dead. A key that is unknown, cleared, expired or malformed means the same everywhere: *not found*. Apart from *not
/// set*, every other error is a failure of the system or a refused argument.
///
/// | operation | missing, cleared or expired | live, without a value | live, with a value |
/// |---|---|---|---|
/// | `get` | not found | not set | the value and what is left of its period |
/// | `set` | not found: nothing is created or revived | sets value and expiry | replaces value and expiry |
/// | `clear` | does nothing | ends the session | ends the session |
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
    /// The type of a session value, as the caller passes it to the store: `str` for the stores of this crate.
    type Value: ?Sized + ToOwned;
    /// The type of a session's period: a signed duration.
    type Period;
    /// The type of an error.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns the period of sessions that are generated or set without an explicit expiry.
    fn default_period(&self) -> Self::Period;

    /// Sets the default period of this handle and its clones. It applies to later operations only.
    ///
    /// # Errors
    ///
    /// Refuses a period that the store cannot hold. The default period then stays as it was.
    fn set_default_period(&self, period: Self::Period) -> Result<(), Self::Error>;

    /// Starts a session under a new, unguessable key and returns the key.
    ///
    /// The session expires `expiry` from now. If `expiry` is `None`, the default period counts. A zero or negative
    /// expiry is legal: the session is born expired. If `value` is `None`, [`get`](Now::get) returns *not set* until
    /// the first [`set`](Now::set).
    ///
    /// # Errors
    ///
    /// Refuses a value or an expiry that the store cannot hold. Then nothing is written.
    fn generate(
        &self,
        value: Option<&Self::Value>,
        expiry: Option<Self::Period>,
    ) -> Result<Self::Key, Self::Error>;

    /// Ends the session. Afterwards its key is absent for every operation. The call is idempotent.
    ///
    /// The stores of this crate also end the session if it got another key in the last ten minutes, through
    /// [`rotate`](crate::Sessions::rotate) or a web framework. So a logout stays final even if another request's login
    /// changed the key just before it.
    ///
    /// # Errors
    ///
    /// Fails only if the store fails. A session that does not exist is not an error.
    fn clear(&self, key: &Self::Key) -> Result<(), Self::Error>;

    /// Returns the session's value and the rest of its period. The rest is never more than the period that was asked
    /// for.
    ///
    /// # Errors
    ///
    /// *Not found* if the session is unknown, cleared or expired. *Not set* if it is live but has no value yet. An
    /// empty value is a value.
    #[allow(clippy::type_complexity, reason = "the original's pair, with a value that the caller owns")]
    fn get(&self, key: &Self::Key) -> Result<(<Self::Value as ToOwned>::Owned, Self::Period), Self::Error>;

    /// Sets a live session's value and its expiry: `expiry` from now, or the default period from now.
    ///
    /// A database decides whether the session is live when the statement arrives. If the statement then waits for
    /// another writer of the same row, it can succeed although the session expired during the wait. The statement
    /// timeout limits that wait.
    ///
    /// # Errors
    ///
    /// *Not found* if the session is unknown, cleared or expired. So a client cannot choose a key, and no write is lost
    /// silently. Refuses a value or an expiry that the store cannot hold. Then nothing is written.
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
