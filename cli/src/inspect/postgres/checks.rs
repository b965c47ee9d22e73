//! The checks of `doctor` on PostgreSQL. Each is a query in the folder `checks`, whose rows are findings.

use crate::inspect::Level;
use crate::inspect::finding::{Check, checks};

pub(super) const CHECKS: &[Check] = checks! {
    (Level::Warning, "run the doctor as a role that may look");
    Warning "shadowing"
    Fault "grants"
    Fault "row_security"
    Warning "encoding"
    Warning "collation"
    Fault "indexes"
    Fault "unlogged"
    Warning "hot_updates"
    Warning "dead_rows"
    Warning "autovacuum"
    Warning "expired_rows"
    Warning "connections"
    Fault "fsync"
    Warning "synchronous_commit"
    Fault "standby"
    Warning "timeouts"
    Fault "read_only"
};
