//! A client process: a store, and threads that call it without a pause.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::load::{Visitors, Visits};
use crate::record::Record;
use crate::store::Store;
use crate::target::Target;
use crate::web::Site;

/// The instructions for a client process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    pub(crate) store: Store,
    /// The size of a value, in bytes.
    pub(crate) value_size: usize,
    /// The number of the client's first session. The next 2^32 numbers belong to this client alone.
    pub(crate) first_session: u64,
}

/// The state that the client's threads share.
struct Client {
    orders: Orders,
    target: Box<dyn Target>,
    /// The framework's store over the target, if the load comes through a framework.
    site: Option<Box<dyn Site>>,
    record: Record,
    /// How many threads should run. Threads with this number or a higher one stop.
    wanted: AtomicUsize,
}

enum Message {
    /// From now on, this many threads should run.
    Wanted(usize),
    /// A thread has stopped.
    Stopped(Result<()>),
}

impl Orders {
    /// Runs the client. Each line of standard input is the number of threads to run. The end of the input stops all
    /// threads.
    pub fn run(self) -> Result<()> {
        let store = self.store.connect()?;
        let target = store.target();
        let site = self.store.framework.map(|framework| store.site(framework)).transpose()?;
        let sweeper = target.sweeper()?;
        let record = Record::begin(&*target, self.first_session, io::stdout())?;
        let client = Arc::new(Client { orders: self, target, site, record, wanted: AtomicUsize::new(0) });
        let (tell, messages) = channel();
        let listen = tell.clone();
        // If a thread of the client fails, this one is left behind, because the process then ends.
        thread::spawn(move || read_orders(&listen));

        let mut running = 0;
        for message in messages {
            match message {
                Message::Wanted(threads) => {
                    client.wanted.store(threads, Ordering::Relaxed);
                    for number in running..threads {
                        client.clone().start(number, tell.clone());
                    }
                    running = running.max(threads);
                }
                Message::Stopped(result) => {
                    result?;
                    running -= 1;
                }
            }
            if running == 0 {
                break;
            }
        }
        // The sweeper works on the store's runtime.
        drop(sweeper);
        client.record.finish()
    }
}

fn read_orders(tell: &Sender<Message>) {
    for line in io::stdin().lines() {
        let threads = line.context("standard input").and_then(|line| line.parse().context("a number"));
        // The receiver is gone if the client is done.
        let _ = tell.send(threads.map_or_else(|error| Message::Stopped(Err(error)), Message::Wanted));
    }
    let _ = tell.send(Message::Wanted(0));
}

impl Client {
    fn start(self: Arc<Self>, number: usize, tell: Sender<Message>) {
        thread::spawn(move || {
            let Orders { value_size, first_session, .. } = self.orders;
            let seed = first_session + number as u64;
            let stop = || self.wanted.load(Ordering::Relaxed) <= number;
            let run = || match &self.site {
                Some(site) => Visits::new(&**site, &self.record, value_size, seed).run(stop),
                None => Visitors::new(&*self.target, &self.record, value_size, seed).run(stop),
            };
            let stopped = catch_unwind(AssertUnwindSafe(run));
            let _ =
                tell.send(Message::Stopped(stopped.unwrap_or_else(|_| Err(anyhow!("a thread panicked")))));
        });
    }
}
