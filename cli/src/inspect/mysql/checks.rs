//! The checks of `doctor` on MariaDB. Each is a query in the folder `checks`. Its rows are findings.

use crate::inspect::Level;
use crate::inspect::finding::{Check, checks};

const REFUSED: (Level, &str) = (Level::Warning, "run the doctor as a user that may look");

/// The checks of the server and of the database.
pub(super) const SERVER: &[Check] = checks! {
    REFUSED;
    Warning "version"
    Fault "binary_log"
    Warning "packets"
    Warning "flush_at_commit"
    Warning "tls"
    Warning "connections"
    Warning "timeouts"
    Fault "read_only"
};

/// The checks of the session table.
pub(super) const TABLE: &[Check] = checks! {
    REFUSED;
    Fault "engine"
    Fault "indexes"
    Warning "expired_rows"
};
