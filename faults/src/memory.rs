//! The memory of a process, as the kernel tells it.

use anyhow::{Context, Result};

/// The most that this process had at any time, in KiB.
pub(crate) fn peak() -> Result<u64> {
    figure("VmHWM", "self")
}

/// What a process has now, in KiB.
pub(crate) fn now(process: u32) -> Result<u64> {
    figure("VmRSS", &process.to_string())
}

fn figure(name: &str, process: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.with_context(|| format!("the kernel tells no {name}"))?.parse()?)
}
