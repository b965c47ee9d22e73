//! A future that its caller can leave before it ends.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::retry::Job;

/// Hands the job on if it is dropped before the job's end, so that another task can finish it.
pub(super) struct Leaving<R, F: FnOnce(Job<R>) + Unpin> {
    job: Option<Job<R>>,
    leave: Option<F>,
}

impl<R, F: FnOnce(Job<R>) + Unpin> Leaving<R, F> {
    /// `leave` gets the unfinished job.
    pub(super) fn new(job: Job<R>, leave: F) -> Self {
        Self { job: Some(job), leave: Some(leave) }
    }
}

impl<R, F: FnOnce(Job<R>) + Unpin> Future for Leaving<R, F> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        // A job that panicked in an earlier poll is gone.
        let Some(mut job) = self.job.take() else { return Poll::Pending };
        let done = job.as_mut().poll(context);
        if done.is_pending() {
            self.job = Some(job);
        }
        done
    }
}

impl<R, F: FnOnce(Job<R>) + Unpin> Drop for Leaving<R, F> {
    fn drop(&mut self) {
        if let (Some(job), Some(leave)) = (self.job.take(), self.leave.take()) {
            leave(job);
        }
    }
}
