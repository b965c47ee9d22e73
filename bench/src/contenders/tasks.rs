//! Stores that are called from tasks.

use std::rc::Rc;

use anyhow::Result;
use bench_measure::tasks::{Store, run};
use bench_measure::{Amount, Operation, Sample};
use tokio::runtime::Runtime;

use super::diesel_session::Table;
use super::{Contender, Name};
use crate::server::Tidy;

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
        let what = (operation, clients, amount);
        run(&self.runtime, &self.store, &self.table.keys, &mut self.fresh, what)
    }

    fn tidy(&mut self) -> Result<()> {
        self.table.database.tidy()
    }
}
