//! `doctor`: looks for everything that hurts sessions in production.

use std::cmp::Reverse;
use std::process::ExitCode;

use diesel_session::Error;
use serde_json::{Value, json};

#[cfg(feature = "postgres")]
use crate::arguments::DatabaseArguments;
use crate::arguments::Doctor;
use crate::database::Target;
#[cfg(feature = "postgres")]
use crate::database::is_behind_pooler;
use crate::failure::{Failure, advice, with_sources};
use crate::inspect::{Finding, Inspect, Level};
use crate::screen::{self, count, harmless, say};

/// The check of the table's version, its owner and its place. The library does it.
const TABLE: &str = "table";

/// Looks for a pooler first, if the operator knows of none. The other checks would leave their settings on its
/// connections.
#[cfg(feature = "postgres")]
pub(crate) fn doctor_before_connecting(
    database: &DatabaseArguments,
    doctor: &Doctor,
) -> Result<Option<ExitCode>, Failure> {
    if database.pgbouncer {
        return Ok(None);
    }
    let finding = match is_behind_pooler(database) {
        Ok(false) => return Ok(None),
        Ok(true) => Finding {
            name: "pooler",
            level: Level::Warning,
            reason: "a pooler lends a connection for one transaction at a time, so settings and prepared statements \
                     reach other clients; the other checks were left out"
                .to_owned(),
            mend: "DieselSession: Builder::pgbouncer(true); AsyncDieselSession: PgBouncer 1.21 or later with \
                   max_prepared_statements; this command: --pgbouncer"
                .to_owned(),
        },
        Err(failure) => return no_patient(&failure, doctor).map(Some),
    };
    report(vec![finding], 1, doctor).map(Some)
}

pub(crate) fn doctor<C: Inspect>(target: &Target<C>, doctor: &Doctor) -> Result<ExitCode, Failure> {
    let table = target.store.check().err().map(|error| fault(TABLE, &error));
    let has_table = table.is_none();
    let mut findings: Vec<Finding> = table.into_iter().collect();
    let mut checks = 1;
    match target.connection() {
        Ok(mut conn) => {
            let examined = conn.examine(has_table);
            checks += examined.checks;
            findings.extend(examined.findings);
        }
        Err(failure) => findings.push(unreachable(&failure)),
    }
    report(findings, checks, doctor)
}

/// Reports that there is no database to look at.
pub(crate) fn no_patient(failure: &Failure, doctor: &Doctor) -> Result<ExitCode, Failure> {
    report(vec![unreachable(failure)], 1, doctor)
}

fn unreachable(failure: &Failure) -> Finding {
    let mend = "start the server, or check DATABASE_URL".to_owned();
    Finding { name: "connection", level: Level::Fault, reason: failure.to_string(), mend }
}

fn fault(name: &'static str, error: &Error) -> Finding {
    let unknown = || (with_sources(error), "mend the reason, then run the doctor again".to_owned());
    let (reason, mend) = advice(error).unwrap_or_else(unknown);
    Finding { name, level: Level::Fault, reason, mend }
}

fn report(mut findings: Vec<Finding>, checks: usize, doctor: &Doctor) -> Result<ExitCode, Failure> {
    findings.sort_by_key(|finding| Reverse(finding.level));
    if doctor.json {
        let findings: Vec<Value> = findings.iter().map(as_json).collect();
        screen::json(&json!({ "checks": checks, "findings": findings }))?;
    } else {
        for finding in &findings {
            say(&format!("{} {}: {}", word(finding.level), finding.name, harmless(&finding.reason)))?;
            say(&format!("  {}", harmless(&finding.mend)))?;
        }
        say(&format!("{}, {}", count(checks as u64, "check"), count(findings.len() as u64, "finding")))?;
    }
    Ok(match findings.first().map(|finding| finding.level) {
        None => ExitCode::SUCCESS,
        Some(Level::Warning) => ExitCode::from(1),
        Some(Level::Fault) => ExitCode::from(2),
    })
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Warning => "warning",
        Level::Fault => "FAULT",
    }
}

fn as_json(finding: &Finding) -> Value {
    let level = match finding.level {
        Level::Warning => "warning",
        Level::Fault => "fault",
    };
    json!({ "name": finding.name, "level": level, "reason": finding.reason, "mend": finding.mend })
}
