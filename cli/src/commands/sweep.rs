//! Deletes expired sessions.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use chrono::TimeDelta;
use diesel_session::{Sessions, Sweeper};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::arguments::Sweep;
use crate::failure::{Failure, line};
use crate::screen::{bar, count, remark, say};

/// An event of a sweep.
enum Event {
    /// So many sessions were deleted. Zero is the end of the sweep.
    Deleted(usize),
    /// Why a batch failed.
    Failed(String),
    /// SIGINT or SIGTERM came.
    Stop,
}

/// The interval of a sweeper that is stopped after its first sweep.
const NEVER: TimeDelta = TimeDelta::days(30);

pub(crate) fn sweep(store: &(impl Sessions + Clone + Send + 'static), sweep: &Sweep) -> Result<(), Failure> {
    let (events, happening) = channel();
    stop_on_signals(events.clone())?;
    let every = sweep.every.map(|every| TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX));
    let failures = events.clone();
    // Sessions of the current hour stay, so it may end before it is full.
    let bar = bar("deleted", || store.count().ok().map(|count| count.expired))?;
    let sweeper = Sweeper::builder(store.clone())
        .interval(every.unwrap_or(NEVER))
        .jitter(TimeDelta::zero())
        // Nobody listens any more while the sweeper is being dropped.
        .on_batch(move |sessions| drop(events.send(Event::Deleted(sessions))))
        .on_error(move |error| drop(failures.send(Event::Failed(line(error)))))
        .start()?;
    let mut deleted = 0;
    while let Ok(event) = happening.recv() {
        match event {
            Event::Deleted(0) => {
                bar.finish_and_clear();
                say(&format!("{} deleted", count(deleted, "expired row")))?;
                if every.is_none() {
                    break;
                }
                deleted = 0;
            }
            Event::Deleted(sessions) => {
                deleted += sessions as u64;
                bar.set_position(deleted);
            }
            Event::Failed(reason) => {
                bar.finish_and_clear();
                let reason = match deleted {
                    0 => reason,
                    _ => format!("{} deleted, then: {reason}", count(deleted, "expired row")),
                };
                if every.is_none() {
                    return Err(Failure::Refused(reason));
                }
                remark(&format!("diesel-session: {reason}"))?;
                deleted = 0;
            }
            Event::Stop => {
                bar.finish_and_clear();
                // It waits for the batch that is being deleted, for a second.
                drop(sweeper);
                let last =
                    happening.try_iter().map(|event| if let Event::Deleted(last) = event { last } else { 0 });
                deleted += last.sum::<usize>() as u64;
                return say(&format!("stopped by a signal: {} deleted", count(deleted, "expired row")));
            }
        }
    }
    Ok(())
}

fn stop_on_signals(events: Sender<Event>) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for _signal in signals.forever() {
            // Nobody listens any more if the command is ending by itself.
            drop(events.send(Event::Stop));
        }
    });
    Ok(())
}
