//! The user's notes.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::html;
use crate::app::App;
use crate::database::Database;
use crate::failure::Failure;
use crate::forms::Checked;
use crate::models::Note;
use crate::views;
use crate::visitor::{Frame, LoggedIn};

const LONGEST_NOTE: usize = 2000;

#[derive(Template)]
#[template(path = "notes.html")]
struct Page {
    frame: Frame,
    notes: Vec<Note>,
    views: Option<u64>,
}

pub(crate) async fn show<C: Database>(
    State(app): State<Arc<App<C>>>,
    visitor: LoggedIn,
) -> Result<Response, Failure> {
    let user = visitor.user.id;
    let page = Page {
        frame: visitor.frame(&app).await?,
        notes: app.query(move |conn| conn.notes_of(user)).await?,
        views: views::count(&app, &visitor.session).await?,
    };
    Ok(html(&page)?.into_response())
}

#[derive(Deserialize)]
pub(crate) struct Written {
    body: String,
}

pub(crate) async fn add<C: Database>(
    State(app): State<Arc<App<C>>>,
    visitor: LoggedIn,
    Checked(Written { body }): Checked<Written>,
) -> Result<Redirect, Failure> {
    // PostgreSQL's text cannot contain NUL.
    if body.trim().is_empty() || body.chars().count() > LONGEST_NOTE || body.contains('\0') {
        let problem = "Write a note of 1 to 2000 characters.";
        return Err(Failure::Refused(StatusCode::UNPROCESSABLE_ENTITY, problem));
    }
    let user = visitor.user.id;
    app.query(move |conn| conn.add_note(user, &body)).await?;
    Ok(Redirect::to("/notes"))
}

#[derive(Deserialize)]
pub(crate) struct Chosen {
    /// The number of the note, as text from the form.
    note: String,
}

pub(crate) async fn delete<C: Database>(
    State(app): State<Arc<App<C>>>,
    visitor: LoggedIn,
    Checked(Chosen { note }): Checked<Chosen>,
) -> Result<Redirect, Failure> {
    if let Ok(note) = note.parse() {
        let user = visitor.user.id;
        app.query(move |conn| conn.delete_note(user, note)).await?;
    }
    Ok(Redirect::to("/notes"))
}
