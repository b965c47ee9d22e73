//! Whether clients grow: their memory, and their connections.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use anyhow::Result;

use crate::memory;

/// Each measurement of the clients: memory by process, in KiB, and the number of connections to all servers.
#[derive(Debug, Clone)]
pub(crate) struct Growth {
    memory: BTreeMap<u32, Vec<u64>>,
    connections: Vec<i64>,
    /// The number of clients with such connections, and the size of each one's pool.
    clients: u32,
    pool: u32,
}

/// After this many measurements, a client has all its connections and sessions.
const WARM: usize = 10;

impl Growth {
    pub(crate) fn of(clients: u32, pool: u32) -> Self {
        Self { memory: BTreeMap::new(), connections: Vec::new(), clients, pool }
    }

    /// Measures these processes.
    pub(crate) fn look(&mut self, processes: impl Iterator<Item = u32>, connections: i64) -> Result<()> {
        for process in processes {
            self.memory.entry(process).or_default().push(memory::now(process)?);
        }
        self.connections.push(connections);
        Ok(())
    }

    /// Returns, for each client with enough measurements, the memory when warm and the most after that.
    fn memory(&self) -> impl Iterator<Item = (u64, u64)> {
        self.memory.values().filter_map(|looks| Some((*looks.get(WARM)?, *looks[WARM..].iter().max()?)))
    }

    /// Whether enough clients ran long enough to judge.
    pub(crate) fn is_known(&self) -> bool {
        self.memory().count() >= self.clients as usize
    }

    /// Whether memory and connections stayed flat. A quarter more memory is due to the allocator. One connection more
    /// than the pools have is a leak.
    pub(crate) fn is_flat(&self) -> bool {
        let pools = i64::from(self.clients * self.pool);
        self.memory().all(|(warm, most)| most <= warm + warm / 4)
            && self.connections.iter().all(|connections| *connections <= pools)
    }
}

impl Display for Growth {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let most = self.connections.iter().max().unwrap_or(&0);
        write!(f, "connections {most} at most, memory of each client from and to:")?;
        self.memory().try_for_each(|(warm, most)| write!(f, " {:.1}-{:.1}", mib(warm), mib(most)))?;
        f.write_str(" MiB")
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
