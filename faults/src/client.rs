//! A client: a store, and threads that call it without a pause.

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

/// What a client does, in a process of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    pub(crate) store: Store,
    /// The size of its values, in bytes.
    pub(crate) value_size: usize,
    /// The number of its first session: no other client has the next 2^32.
    pub(crate) first_session: u64,
}

/// What the threads share.
struct Client {
    orders: Orders,
    target: Box<dyn Target>,
    /// The framework's store over the target, if the visitors come through one.
    site: Option<Box<dyn Site>>,
    record: Record,
    /// A thread with this number, or a higher one, stops.
    wanted: AtomicUsize,
}

enum Message {
    /// So many threads are wanted from now on.
    Wanted(usize),
    /// A thread has stopped.
    Stopped(Result<()>),
}

impl Orders {
    /// Each line of standard input says how many threads there are to be, and its end that there are none.
    pub fn run(self) -> Result<()> {
        let store = self.store.connect()?;
        let target = store.target();
        let site = self.store.framework.map(|framework| store.site(framework)).transpose()?;
        let sweeper = target.sweeper()?;
        let record = Record::begin(&*target, self.first_session, io::stdout())?;
        let client = Arc::new(Client { orders: self, target, site, record, wanted: AtomicUsize::new(0) });
        let (tell, messages) = channel();
        let listen = tell.clone();
        // Left behind where a thread fails: the process ends then.
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
        // It works on the store's runtime.
        drop(sweeper);
        client.record.finish()
    }
}

fn read_orders(tell: &Sender<Message>) {
    for line in io::stdin().lines() {
        let threads = line.context("standard input").and_then(|line| line.parse().context("a number"));
        // Nobody listens to a client that is done.
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
