//! What `doctor` finds.

use diesel::sql_types::Text;
use diesel::{QueryResult, QueryableByName};

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// It works today, and can hurt one day.
    Warning,
    /// Sessions are in danger, or do not work.
    Fault,
}

/// Something that hurts sessions.
pub(crate) struct Finding {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    pub(crate) reason: String,
    /// The command that mends it, or what else to do.
    pub(crate) mend: String,
}

/// What an examination has looked at and found.
#[derive(Default)]
pub(crate) struct Examination {
    pub(crate) checks: usize,
    pub(crate) findings: Vec<Finding>,
}

impl Examination {
    pub(crate) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.checks += 1;
        self.findings.extend(findings);
    }
}

/// A query. Each of its rows is a finding.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    pub(crate) sql: &'static str,
    /// If the database refuses the query: how bad that is, and what to do.
    pub(crate) refused: (Level, &'static str),
}

/// Lists checks: the level and the name of each. Its query is in the folder `checks`. The first part says what it means if
/// the database refuses a query.
macro_rules! checks {
    ($refused:expr; $($level:ident $name:literal)*) => {
        &[$($crate::inspect::finding::Check {
            name: $name,
            level: $crate::inspect::Level::$level,
            sql: include_str!(concat!("checks/", $name, ".sql")),
            refused: $refused,
        }),*]
    };
}
pub(crate) use checks;

/// A row of a [`Check`].
#[derive(QueryableByName)]
pub(crate) struct Found {
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Text)]
    mend: String,
}

impl Check {
    /// Returns the findings. A check that the database refuses is a finding, too.
    pub(crate) fn findings(&self, rows: QueryResult<Vec<Found>>) -> Vec<Finding> {
        match rows {
            Ok(rows) => rows
                .into_iter()
                .map(|Found { reason, mend }| Finding { name: self.name, level: self.level, reason, mend })
                .collect(),
            Err(error) => {
                let (level, mend) = self.refused;
                let reason = format!("this could not be checked: {error}");
                vec![Finding { name: self.name, level, reason, mend: mend.to_owned() }]
            }
        }
    }
}
