//! `doctor`: looks for everything that hurts sessions in production.

use std::process::ExitCode;

use diesel_session::SessionConnection;
use serde_json::{Value, json};

use crate::arguments::Doctor;
use crate::database::Target;
use crate::failure::{Failure, line};
use crate::inspect::{Finding, Inspect, Level};
use crate::screen::{self, count, say};

/// The check of the table's version, its owner and its place. The library does it.
const TABLE: &str = "table";

pub(crate) fn doctor<C: Inspect>(target: &Target<C>, doctor: &Doctor) -> Result<ExitCode, Failure> {
    let mut findings: Vec<Finding> = table(target).into_iter().collect();
    let has_table = findings.is_empty();
    findings.extend(target.connection()?.findings(has_table));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    let checks = 1 + C::checks().len();
    if doctor.json {
        let findings: Vec<Value> = findings.iter().map(as_json).collect();
        screen::json(&json!({ "checks": checks, "findings": findings }))?;
    } else {
        for finding in &findings {
            say(&format!("{} {}: {}", word(finding.level), finding.name, screen::harmless(&finding.reason)))?;
            say(&format!("  {}", screen::harmless(&finding.mend)))?;
        }
        say(&format!("{}, {}", count(checks as u64, "check"), count(findings.len() as u64, "finding")))?;
    }
    Ok(match findings.iter().map(|finding| finding.level).max() {
        None => ExitCode::SUCCESS,
        Some(Level::Warning) => ExitCode::from(1),
        Some(Level::Fault) => ExitCode::from(2),
    })
}

fn table<C: SessionConnection>(target: &Target<C>) -> Option<Finding> {
    let error = target.store.check().err()?;
    let reason = line(&error);
    let (reason, mend) = reason.split_once(": ").unwrap_or((&reason, "see the reason"));
    Some(Finding { name: TABLE, level: Level::Fault, reason: reason.to_owned(), mend: mend.to_owned() })
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
