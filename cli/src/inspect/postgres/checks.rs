//! The checks of `doctor` on PostgreSQL. Each is a query in the folder `checks`, whose rows are findings.

use crate::inspect::finding::Check;
use crate::inspect::finding::Level::{Fault, Warning};

macro_rules! checks {
    ($($level:ident $name:literal)*) => {
        &[$(Check {
            name: $name,
            level: $level,
            sql: include_str!(concat!("checks/", $name, ".sql")),
            refused: (Warning, "run the doctor as a role that may look"),
        }),*]
    };
}

pub(super) const CHECKS: &[Check] = checks! {
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
