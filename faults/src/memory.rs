//! The memory of a process, as the kernel reports it.

use anyhow::{Context, Result};

/// Returns the peak memory of this process, in KiB.
pub(crate) fn peak() -> Result<u64> {
    figure("VmHWM", "self")
}

/// Returns the current memory of a process, in KiB.
pub(crate) fn now(process: u32) -> Result<u64> {
    figure("VmRSS", &process.to_string())
}

fn figure(name: &str, process: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.with_context(|| format!("the kernel reports no {name}"))?.parse()?)
}
