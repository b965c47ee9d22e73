//! Spans and events for each operation, with the feature `tracing`. They have the operation's name, the database, the
//! outcome and the duration. They never have a key, a value, an owner or an address.

use std::future::Future;
#[cfg(feature = "tracing")]
use std::time::Instant;

use crate::error::Error;

/// The outcome of an operation that did not succeed.
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "nobody asks"))]
pub(crate) trait Outcome {
    /// Returns the outcome in one word, as logs have it.
    fn outcome(&self) -> &'static str;

    /// Returns the error, if something failed that should not fail.
    fn failure(&self) -> Option<&Error>;
}

impl Outcome for Error {
    fn outcome(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NotSet => "not_set",
            Self::Changed => "changed",
            Self::ValueTooLarge { .. }
            | Self::ValueHasNul { .. }
            | Self::PeriodOutOfRange { .. }
            | Self::OwnerTooLong { .. }
            | Self::OwnerHasNul { .. }
            | Self::OwnerReserved
            | Self::OwnerLimit { .. }
            | Self::LabelTooLong { .. }
            | Self::LabelHasNul { .. }
            | Self::WithinUpdate => "refused",
            #[cfg(feature = "web")]
            Self::NotText { .. } | Self::TooDeep { .. } => "refused",
            _ => "failed",
        }
    }

    fn failure(&self) -> Option<&Error> {
        (self.outcome() == "failed").then_some(self)
    }
}

/// Runs `work` in a span.
#[cfg(feature = "tracing")]
pub(crate) fn traced<T, E: Outcome>(
    operation: &'static str,
    database: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    use tracing::Instrument as _;
    use tracing::field::Empty;

    let span = tracing::debug_span!("session", operation, database, outcome = Empty, elapsed_us = Empty);
    let told = span.clone();
    let work = async move {
        let started = Instant::now();
        let result = work.await;
        let elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let outcome = result.as_ref().err().map_or("ok", Outcome::outcome);
        told.record("outcome", outcome);
        told.record("elapsed_us", elapsed_us);
        // Without the error's source, because that is a text of the database.
        if let Some(error) = result.as_ref().err().and_then(Outcome::failure) {
            tracing::warn!(operation, database, outcome, elapsed_us, %error);
        } else {
            tracing::debug!(operation, database, outcome, elapsed_us);
        }
        result
    };
    work.instrument(span)
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn traced<T, E: Outcome>(
    _operation: &'static str,
    _database: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    work
}

/// Runs `work` in the span of this task, also if another task finishes it.
#[cfg(all(feature = "tokio", feature = "tracing"))]
pub(crate) fn task_in_this_span<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    use tracing::Instrument as _;

    work.in_current_span()
}

#[cfg(all(feature = "tokio", not(feature = "tracing")))]
pub(crate) fn task_in_this_span<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    work
}

/// Runs `work` on another thread, but in the span of this one. Events on the way, such as those of Diesel's
/// instrumentation, then belong to this span.
#[cfg(feature = "tracing")]
pub(crate) fn in_this_span<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let span = tracing::Span::current();
    move || span.in_scope(work)
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn in_this_span<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    work
}
