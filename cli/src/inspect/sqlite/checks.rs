//! The checks of `doctor` on SQLite. Each is a query in the folder `checks`. Its rows are findings. Others look at the
//! file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::inspect::Level::{Fault, Warning};
use crate::inspect::finding::{Check, Finding, checks};

/// The checks of the file.
pub(super) const FILE: &[Check] = checks! {
    (Fault, "restore a backup if the file is damaged");
    Warning "journal_mode"
    Fault "integrity"
};

/// The checks of the session table.
pub(super) const TABLE: &[Check] = checks! {
    (Warning, "try again when no other program writes for long");
    Fault "indexes"
    Warning "expired_rows"
};

/// A write-ahead log that no checkpoint has emptied for long, in bytes. SQLite tries at about 4 MB.
const LARGE_WAL: u64 = 64 << 20;

/// Looks for a log that keeps growing.
pub(super) fn wal_size(path: &Path) -> Option<Finding> {
    let wal = format!("{}-wal", path.display());
    let size = fs::metadata(&wal).ok()?.len();
    (size >= LARGE_WAL).then(|| Finding {
        name: "wal_size",
        level: Warning,
        reason: format!("{wal} has {} MiB: a reader that never ends keeps it from shrinking", size >> 20),
        mend: format!(
            "end that reader, then: sqlite3 {} \"PRAGMA wal_checkpoint(TRUNCATE)\"",
            path.display()
        ),
    })
}

/// Looks for others who may open the file.
pub(super) fn permissions(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let others = mode & 0o007;
    // Nobody reaches a file below a private directory.
    let is_closed = |directory: &Path| {
        fs::metadata(directory).is_ok_and(|directory| directory.permissions().mode() & 0o001 == 0)
    };
    let is_private = path.ancestors().skip(1).any(is_closed);
    (others != 0 && !is_private).then(|| Finding {
        name: "permissions",
        level: if others & 0o002 == 0 { Warning } else { Fault },
        reason: format!("every user of the machine may open {} (mode {:o})", path.display(), mode & 0o777),
        mend: format!("chmod o= {}", path.display()),
    })
}
