//! Stores that are called from tasks.

use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use nix::sys::resource::UsageWho;
use tokio::runtime::Runtime;
use tokio::sync::Barrier;

use super::diesel_session::Table;
use super::{Contender, Name};
use crate::measure::{Amount, Operation, Sample, Stopwatch, processor_time};
use crate::server::Tidy;

/// A store and the value that it writes, which is ready before the call, as after a request's work.
pub(crate) trait Store: Clone + Send + 'static {
    type Key: Clone + Send + Sync + 'static;

    fn get(&self, key: &Self::Key) -> impl Future<Output = Result<()>> + Send;

    fn set(&mut self, key: &Self::Key) -> impl Future<Output = Result<()>> + Send;

    fn visit(&mut self, key: &Self::Key) -> impl Future<Output = Result<()>> + Send;

    fn generate(&self) -> impl Future<Output = Result<Self::Key>> + Send;

    fn clear(&self, key: &Self::Key) -> impl Future<Output = Result<()>> + Send;
}

/// A store over a table that other contenders may share.
pub(crate) struct Tasks<S: Store, D> {
    name: Name,
    store: S,
    table: Rc<Table<D, S::Key>>,
    /// The keys that each client has generated.
    fresh: Vec<Vec<S::Key>>,
    /// The runtime in which the store made its connections.
    runtime: Runtime,
}

impl<S: Store, D> Tasks<S, D> {
    pub(crate) fn new(name: Name, store: S, table: Rc<Table<D, S::Key>>, runtime: Runtime) -> Self {
        Self { name, store, table, fresh: Vec::new(), runtime }
    }
}

impl<S: Store, D: Tidy> Contender for Tasks<S, D> {
    fn name(&self) -> Name {
        self.name
    }

    fn run(&mut self, operation: Operation, clients: usize, amount: Amount) -> Result<Sample> {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.resize(clients, Vec::new());
        let before = processor_time(UsageWho::RUSAGE_SELF)?;
        let start = Arc::new(Barrier::new(clients));
        let (watches, cpu) = self.runtime.block_on(async {
            let tasks: Vec<_> = fresh
                .into_iter()
                .map(|fresh| {
                    let (store, keys, start) =
                        (self.store.clone(), Arc::clone(&self.table.keys), Arc::clone(&start));
                    tokio::spawn(async move {
                        start.wait().await;
                        client(store, operation, &keys, &fresh, Stopwatch::start(amount)).await
                    })
                })
                .collect();
            let mut watches = Vec::new();
            for task in tasks {
                let (watch, made) = task.await??;
                watches.push(watch);
                self.fresh.push(made);
            }
            anyhow::Ok((watches, processor_time(UsageWho::RUSAGE_SELF)? - before))
        })?;
        Sample::new(watches, cpu)
    }

    fn tidy(&mut self) -> Result<()> {
        self.table.database.tidy()
    }
}

async fn client<S: Store>(
    mut store: S,
    operation: Operation,
    keys: &[S::Key],
    fresh: &[S::Key],
    mut watch: Stopwatch,
) -> Result<(Stopwatch, Vec<S::Key>)> {
    let mut random = fastrand::Rng::new();
    let mut made = Vec::new();
    while watch.goes_on() {
        let key = &keys[random.usize(..keys.len())];
        match operation.next(&mut random) {
            Operation::Get | Operation::Mixed => store.get(key).await?,
            Operation::Set => store.set(key).await?,
            Operation::Visit => store.visit(key).await?,
            Operation::Generate => made.push(store.generate().await?),
            Operation::Clear => {
                let key = fresh.get(watch.laps()).ok_or_else(|| anyhow!("nothing is left to clear"))?;
                store.clear(key).await?;
            }
            Operation::Update | Operation::UpdateOne => {
                bail!("stores that are called from tasks do not update")
            }
        }
        watch.lap();
    }
    Ok((watch, made))
}
