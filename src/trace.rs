//! What is told of each operation, with the feature `tracing`: its name, the database, how it ended and how long it
//! took. Never a key, a value, an owner or an address.

use std::future::Future;
#[cfg(feature = "tracing")]
use std::time::Instant;

use crate::error::Error;

/// How an operation ended that did not succeed.
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "nobody asks"))]
pub(crate) trait Outcome {
    /// In a word, as logs have it.
    fn outcome(&self) -> &'static str;

    /// The error, where something failed that should not.
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

/// Does `work`, in a span of its own.
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
        // Without its source, which is a text of the database's.
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

/// Does `work` on another thread in the span of this one, for what is told on its way: by Diesel's instrumentation.
#[cfg(feature = "tracing")]
pub(crate) fn in_this_span<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let span = tracing::Span::current();
    move || span.in_scope(work)
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn in_this_span<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    work
}
