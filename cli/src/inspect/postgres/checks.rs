//! The checks of `doctor` on PostgreSQL. Each is a query in the folder `checks`. Its rows are findings.

use crate::inspect::Level;
use crate::inspect::finding::{Check, checks};

const REFUSED: (Level, &str) = (Level::Warning, "run the doctor as a role that may look");

/// The checks of the server and of the database.
pub(super) const SERVER: &[Check] = checks! {
    REFUSED;
    Warning "shadowing"
    Warning "encoding"
    Warning "connections"
    Fault "fsync"
    Warning "full_page_writes"
    Warning "synchronous_commit"
    Fault "standby"
    Warning "timeouts"
    Fault "read_only"
};

/// The checks that need PostgreSQL 15.
pub(super) const SINCE_15: &[Check] = checks! {
    REFUSED;
    Warning "collation"
};

/// The checks of a Citus cluster. No test has one: a test imitates the functions.
pub(super) const CITUS: &[Check] = checks! {
    REFUSED;
    Warning "worker_clocks"
};

/// The checks of the session table.
pub(super) const TABLE: &[Check] = checks! {
    REFUSED;
    Fault "grants"
    Fault "row_security"
    Fault "indexes"
    Fault "unlogged"
    Warning "hot_updates"
    Warning "dead_rows"
    Warning "autovacuum"
    Warning "expired_rows"
};
