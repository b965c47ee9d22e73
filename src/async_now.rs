//! The contract of an asynchronous session store: [`AsyncNow`].

use std::future::Future;

/// The asynchronous twin of [`Now`](crate::Now): it has the same operations, and each is a future.
///
/// [`Now`](crate::Now) describes each operation and its errors. If you drop a future before it is ready, the store
/// stays consistent. The operation takes effect completely or not at all, and changes that were acknowledged before
/// stay.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "tokio")] {
/// use diesel_session::{AsyncNow, Blocking, Error, MemorySession, TimeDelta};
///
/// async fn visit(sessions: &Blocking<MemorySession>) -> Result<(), Error> {
///     let key = sessions.generate(Some("cart=3"), Some(TimeDelta::minutes(30))).await?;
///     let (value, _left) = sessions.get(&key).await?;
///     assert_eq!(value, "cart=3");
///     sessions.clear(&key).await
/// }
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(visit(&Blocking::new(MemorySession::new(), 8)))?;
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
pub trait AsyncNow {
    /// The type of a session key.
    type Key;
    /// The type of a session value, as the caller passes it to the store: `str` for the stores of this crate.
    type Value: ?Sized + ToOwned;
    /// The type of a session's period: a signed duration.
    type Period;
    /// The type of an error.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns the default period: see [`Now::default_period`](crate::Now::default_period). It does not ask the
    /// database.
    fn default_period(&self) -> Self::Period;

    /// Sets the default period: see [`Now::set_default_period`](crate::Now::set_default_period). It does not ask the
    /// database.
    ///
    /// # Errors
    ///
    /// As for [`Now::set_default_period`](crate::Now::set_default_period).
    fn set_default_period(&self, period: Self::Period) -> Result<(), Self::Error>;

    /// Starts a session and returns its key: see [`Now::generate`](crate::Now::generate).
    fn generate(
        &self,
        value: Option<&Self::Value>,
        expiry: Option<Self::Period>,
    ) -> impl Future<Output = Result<Self::Key, Self::Error>> + Send;

    /// Ends the session: see [`Now::clear`](crate::Now::clear).
    fn clear(&self, key: &Self::Key) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Returns the session's value and the rest of its period: see [`Now::get`](crate::Now::get).
    #[allow(clippy::type_complexity, reason = "the original's pair, with a value that the caller owns")]
    fn get(
        &self,
        key: &Self::Key,
    ) -> impl Future<Output = Result<(<Self::Value as ToOwned>::Owned, Self::Period), Self::Error>> + Send;

    /// Sets a live session's value and expiry: see [`Now::set`](crate::Now::set).
    fn set(
        &self,
        key: &Self::Key,
        value: &Self::Value,
        expiry: Option<Self::Period>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
