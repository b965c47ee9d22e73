//! `sweep`.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diesel_session::{Now as _, Sessions, TimeDelta};

use crate::support::{Database, counts, on_each_database};

on_each_database! {
    sweep_deletes_what_has_expired_and_nothing_else
    sweep_can_go_on_for_ever_and_stops_cleanly
    a_sweep_that_is_stopped_says_how_far_it_came
}

/// Sessions that expired before the current hour.
fn expired(store: &impl Sessions, number: usize) {
    for _ in 0..number {
        store.generate(Some("x"), Some(TimeDelta::hours(-2))).unwrap();
    }
}

fn sweep_deletes_what_has_expired_and_nothing_else<D: Database>(database: &D) {
    let store = database.migrated();
    store.generate(None, None).unwrap();
    expired(&store, 450);
    assert_eq!(database.run(&["sweep"]), "450 expired rows deleted\n");
    assert_eq!(counts(&store), (1, 0));
    assert_eq!(database.run(&["sweep", "--once"]), "0 expired rows deleted\n");
}

/// A sweep in another process.
struct Sweep {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Sweep {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Stops it. Returns its last line.
    fn stop(mut self, signal: &str) -> String {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let last = self.lines.by_ref().last().unwrap().unwrap();
        assert!(self.process.wait().unwrap().success());
        last
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ended = self.process.kill();
    }
}

fn sweep_can_go_on_for_ever_and_stops_cleanly<D: Database>(database: &D) {
    let store = database.migrated();
    for signal in ["-TERM", "-INT"] {
        expired(&store, 3);
        let mut sweep = Sweep::start(database.command(&["sweep", "--every", "50ms"]));
        assert_eq!(sweep.line(), "3 expired rows deleted");
        expired(&store, 2);
        let mut deleted = 0;
        while deleted < 2 {
            let line = sweep.line();
            deleted += line.split(' ').next().unwrap().parse::<usize>().unwrap();
        }
        assert_eq!(counts(&store), (0, 0));
        assert_eq!(sweep.stop(signal), "stopped by a signal: 0 expired rows deleted");
    }
}

fn a_sweep_that_is_stopped_says_how_far_it_came<D: Database>(database: &D) {
    const MANY: usize = 10_000;
    let store = database.migrated();
    expired(&store, MANY);
    let sweep = Sweep::start(database.command(&["sweep"]));
    let started = Instant::now();
    while counts(&store).1 == MANY as u64 {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not begin");
        thread::yield_now();
    }
    let last = sweep.stop("-TERM");
    let deleted = last.strip_prefix("stopped by a signal: ").unwrap_or_else(|| panic!("{last}"));
    let deleted: u64 = deleted.split(' ').next().unwrap().parse().unwrap();
    let left = counts(&store).1;
    assert!(deleted > 0 && left > 0, "{last}, and {left} are left");
    assert_eq!(deleted + left, MANY as u64, "{last}, and {left} are left");
}
