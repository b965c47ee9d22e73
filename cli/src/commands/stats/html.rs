//! The report: one file, without scripts and without access to the network.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::pictures::bars;
use super::{Statistics, buckets};
use crate::failure::Failure;
use crate::screen::harmless;

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Sessions</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 920px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; }
td, th { padding: .2em 1em .2em 0; text-align: left; border-bottom: 1px solid #ddd; }
td:last-child, th:last-child { text-align: right; }
svg { max-width: 100%; height: auto; }
</style>
</head>
<body>
<h1>Sessions</h1>
"#;

pub(super) fn page(statistics: &Statistics) -> Result<String, Failure> {
    let counts = [("live", statistics.live), ("expired, and not deleted yet", statistics.expired)];
    let counts = counts.map(|(name, number)| [name.to_owned(), number.to_string()]);
    let owners = statistics.owners.iter().map(|owner| [harmless(&owner.owner), owner.sessions.to_string()]);
    let parts = [
        HEAD.to_owned(),
        table(["Sessions", "Number"], counts),
        table(["Owners with most sessions", "Live sessions"], owners),
        bars("Live sessions, by the hour in which they started (UTC)", &started(&statistics.started))?,
        bars("Live sessions, by the time that is left", &statistics.left.named(buckets::duration))?,
        bars("Live sessions, by the size of their value", &statistics.sizes.named(buckets::bytes))?,
        format!("<p>{}.</p>\n</body>\n</html>\n", escape(&statistics.on_disk.to_string())),
    ];
    Ok(parts.concat())
}

/// Returns all hours from the first to the last, also those in which no session started.
fn started(hours: &BTreeMap<i64, u64>) -> Vec<(String, u64)> {
    const HOUR: i64 = 3_600;
    let (Some((first, _)), Some((last, _))) = (hours.first_key_value(), hours.last_key_value()) else {
        return Vec::new();
    };
    let name = |hour: i64| {
        let hour = DateTime::<Utc>::from_timestamp(hour, 0);
        hour.map(|hour| hour.format("%d %b %H:00").to_string()).unwrap_or_default()
    };
    let all = (0..=(last - first) / HOUR).map(|n| first + n * HOUR);
    all.map(|hour| (name(hour), hours.get(&hour).copied().unwrap_or(0))).collect()
}

fn table(header: [&str; 2], rows: impl IntoIterator<Item = [String; 2]>) -> String {
    let row = |[name, number]: [&str; 2], cell: &str| {
        format!("<tr><{cell}>{}</{cell}><{cell}>{}</{cell}></tr>\n", escape(name), escape(number))
    };
    let rows: Vec<String> = rows.into_iter().map(|[name, number]| row([&name, &number], "td")).collect();
    format!("<table>\n{}{}</table>\n", row(header, "th"), rows.concat())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
