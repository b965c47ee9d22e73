//! The contract of a session store whose operations are futures.

use std::future::Future;

/// The twin of [`Now`](crate::Now): the same operations, each a future.
///
/// What each does, and its errors, stands there. A future that is dropped before it is ready leaves the store
/// whole: what it began is done or undone, and what was acknowledged before is kept.
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
    /// The type of a session value, as it is lent to the store: `str` for the stores of this crate.
    type Value: ?Sized + ToOwned;
    /// The type of a session's period: a duration, and signed.
    type Period;
    /// The type of an error.
    type Error: std::error::Error + Send + Sync + 'static;

    /// [`Now::default_period`](crate::Now::default_period), which asks no database.
    fn default_period(&self) -> Self::Period;

    /// [`Now::set_default_period`](crate::Now::set_default_period), which asks no database.
    ///
    /// # Errors
    ///
    /// As there.
    fn set_default_period(&self, period: Self::Period) -> Result<(), Self::Error>;

    /// [`Now::generate`](crate::Now::generate).
    fn generate(
        &self,
        value: Option<&Self::Value>,
        expiry: Option<Self::Period>,
    ) -> impl Future<Output = Result<Self::Key, Self::Error>> + Send;

    /// [`Now::clear`](crate::Now::clear).
    fn clear(&self, key: &Self::Key) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// [`Now::get`](crate::Now::get).
    #[allow(clippy::type_complexity, reason = "the original's pair, with a value that the caller owns")]
    fn get(
        &self,
        key: &Self::Key,
    ) -> impl Future<Output = Result<(<Self::Value as ToOwned>::Owned, Self::Period), Self::Error>> + Send;

    /// [`Now::set`](crate::Now::set).
    fn set(
        &self,
        key: &Self::Key,
        value: &Self::Value,
        expiry: Option<Self::Period>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
