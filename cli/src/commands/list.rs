//! Lists live sessions.

use chrono::{DateTime, TimeDelta, Utc};
use diesel_session::{Session, Sessions};
use serde_json::{Value, json};

use crate::arguments::List;
use crate::failure::Failure;
use crate::screen::{self, harmless, remark};

pub(crate) fn list(store: &impl Sessions, list: &List) -> Result<(), Failure> {
    let page = store.list(list.owner.as_deref(), list.after.as_ref(), list.limit)?;
    let next = page.next.map(|next| next.to_string());
    if list.json {
        let sessions: Vec<Value> =
            page.sessions.iter().map(|session| as_json(session, list.values)).collect();
        return screen::json(&json!({ "sessions": sessions, "next": next }));
    }
    if page.sessions.is_empty() {
        // Also the end of a list whose last sessions have ended since the page before.
        return remark("no session is live here");
    }
    let mut header = vec!["HANDLE", "OWNER", "LABEL", "CREATED", "LAST USED", "LEFT"];
    if list.values {
        header.push("VALUE");
    }
    screen::table(&header, page.sessions.iter().map(|session| row(session, list.values)).collect())?;
    match next {
        Some(next) => remark(&format!("for the next page: --after {next}")),
        None => Ok(()),
    }
}

fn row(session: &Session, with_value: bool) -> Vec<String> {
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), harmless);
    let mut row = vec![
        session.handle.to_string(),
        text(&session.owner),
        text(&session.label),
        date(session.created),
        date(session.used),
        period(session.left),
    ];
    if with_value {
        row.push(text(&session.value));
    }
    row
}

fn as_json(session: &Session, with_value: bool) -> Value {
    let mut value = json!({
        "handle": session.handle.to_string(),
        "owner": session.owner,
        "label": session.label,
        "created": session.created.to_rfc3339(),
        "used": session.used.to_rfc3339(),
        "expires": session.expires.to_rfc3339(),
        "left_seconds": session.left.num_seconds(),
    });
    if with_value {
        value["value"] = json!(session.value);
    }
    value
}

/// In UTC, to the second.
fn date(date: DateTime<Utc>) -> String {
    date.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// To the second, for example `6days 23h 59m 58s`.
fn period(period: TimeDelta) -> String {
    let seconds = std::time::Duration::from_secs(u64::try_from(period.num_seconds()).unwrap_or(0));
    humantime::format_duration(seconds).to_string()
}
