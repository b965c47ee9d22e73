//! Your devices: the user's live sessions, and how to sign them out.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::{DateTime, Utc};
use diesel_session::{AsyncSessions as _, SessionHandle};
use serde::Deserialize;

use super::html;
use super::login::Nothing;
use crate::app::App;
use crate::database::Database;
use crate::failure::Failure;
use crate::forms::Checked;
use crate::visitor::{self, Frame, LoggedIn};

#[derive(Template)]
#[template(path = "devices.html")]
struct Page {
    frame: Frame,
    devices: Vec<Device>,
}

struct Device {
    /// Names the session on this page. A handle is not a key.
    handle: SessionHandle,
    /// The name at the login.
    name: String,
    since: String,
    /// Up to a tenth of the idle timeout before the last request, because not every request writes.
    used: String,
    until: String,
    is_this: bool,
}

pub(crate) async fn show<C: Database>(
    State(app): State<Arc<App<C>>>,
    visitor: LoggedIn,
) -> Result<Response, Failure> {
    let this = app.sessions.handle(&visitor.key(&app)?);
    let sessions = app.sessions.sessions_of(&visitor.owner(), 100).await?;
    let time = |time: DateTime<Utc>| time.format("%-d %B, %H:%M UTC").to_string();
    let devices = sessions.into_iter().map(|session| Device {
        handle: session.handle,
        name: session.label.unwrap_or_else(|| "Unknown device".to_owned()),
        since: time(session.created),
        used: ago(session.used),
        until: time(session.expires),
        is_this: session.handle == this,
    });
    let mut devices: Vec<Device> = devices.collect();
    devices.sort_by_key(|device| !device.is_this);
    let page = Page { frame: visitor.frame(&app).await?, devices };
    Ok(html(&page)?.into_response())
}

/// Says how long ago this was, in the largest unit.
fn ago(time: DateTime<Utc>) -> String {
    match (Utc::now() - time).num_minutes() {
        ..1 => "just now".to_owned(),
        1 => "1 minute ago".to_owned(),
        minutes @ 2..60 => format!("{minutes} minutes ago"),
        60..120 => "1 hour ago".to_owned(),
        minutes => format!("{} hours ago", minutes / 60),
    }
}

#[derive(Deserialize)]
pub(crate) struct Chosen {
    device: String,
}

pub(crate) async fn end<C: Database>(
    State(app): State<Arc<App<C>>>,
    visitor: LoggedIn,
    Checked(Chosen { device }): Checked<Chosen>,
) -> Result<Redirect, Failure> {
    // Text that is not a handle names no device.
    if let Ok(handle) = device.parse::<SessionHandle>() {
        if handle == app.sessions.handle(&visitor.key(&app)?) {
            visitor::log_out(&app, &visitor.session).await?;
        } else {
            app.sessions.clear_listed(&visitor.owner(), &handle).await?;
        }
    }
    Ok(Redirect::to("/devices"))
}

pub(crate) async fn end_others<C: Database>(
    State(app): State<Arc<App<C>>>,
    visitor: LoggedIn,
    Checked(Nothing {}): Checked<Nothing>,
) -> Result<Redirect, Failure> {
    let this = visitor.key(&app)?;
    app.sessions.clear_owner(&visitor.owner(), Some(&this)).await?;
    Ok(Redirect::to("/devices"))
}
