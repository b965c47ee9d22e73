//! Samples of stores that are called from tasks.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use nix::sys::resource::UsageWho;
use tokio::runtime::Runtime;
use tokio::sync::Barrier;

use crate::{Operation, Request, Sample, Stopwatch, processor_time};

/// A store and the value that it writes, which is ready before the call, as after a request's work.
pub trait Store: Clone + Send + 'static {
    /// A session's key or id.
    type Key: Clone + Send + Sync + 'static;

    /// Reads a session.
    fn get(&self, key: &Self::Key) -> impl Future<Output = Result<()>> + Send;

    /// Writes a session that no request has loaded.
    fn set(&mut self, key: &Self::Key) -> impl Future<Output = Result<()>> + Send;

    /// Loads a session, changes it and saves it.
    fn visit(&mut self, key: &Self::Key) -> impl Future<Output = Result<()>> + Send;

    /// Creates a session.
    fn generate(&self) -> impl Future<Output = Result<Self::Key>> + Send;

    /// Ends a session.
    fn clear(&self, key: &Self::Key) -> impl Future<Output = Result<()>> + Send;
}

/// Creates so many sessions, one after another.
pub async fn filled<S: Store>(store: &S, rows: usize) -> Result<Vec<S::Key>> {
    let mut keys = Vec::with_capacity(rows);
    for _ in 0..rows {
        keys.push(store.generate().await?);
    }
    Ok(keys)
}

/// Runs an operation of a store with `clients` tasks at once, on sessions drawn at random from `keys`.
///
/// `fresh` has the keys that each client generated last. They are what it clears, and the keys that it generates now
/// replace them.
pub fn run<S: Store>(
    runtime: &Runtime,
    store: &S,
    keys: &Arc<[S::Key]>,
    fresh: &mut Vec<Vec<S::Key>>,
    (operation, clients, amount): Request,
) -> Result<Sample> {
    let mut last = std::mem::take(fresh);
    last.resize(clients, Vec::new());
    let before = processor_time(UsageWho::RUSAGE_SELF)?;
    let start = Arc::new(Barrier::new(clients));
    let (watches, cpu) = runtime.block_on(async {
        let tasks: Vec<_> = last
            .into_iter()
            .map(|fresh| {
                let (store, keys, start) = (store.clone(), Arc::clone(keys), Arc::clone(&start));
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
            fresh.push(made);
        }
        anyhow::Ok((watches, processor_time(UsageWho::RUSAGE_SELF)? - before))
    })?;
    Sample::new(watches, cpu)
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
