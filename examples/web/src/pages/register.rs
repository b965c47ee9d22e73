//! Creating an account.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use super::html;
use crate::app::App;
use crate::database::Database;
use crate::failure::Failure;
use crate::forms::{Checked, token};

const LONGEST_NAME: usize = 32;
const SHORTEST_PASSWORD: usize = 8;

#[derive(Template)]
#[template(path = "register.html")]
struct Page {
    csrf: String,
    name: String,
    problem: Option<&'static str>,
}

#[derive(Deserialize)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl Account {
    /// Returns the name in the form in which it is stored and looked up. Returns `None` if the name is not valid.
    pub(crate) fn checked_name(&self) -> Option<String> {
        let name = self.name.trim().to_ascii_lowercase();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        ((1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(fits)).then_some(name)
    }
}

pub(crate) async fn show(session: Session) -> Result<Response, Failure> {
    let page = Page { csrf: token(&session).await?, name: String::new(), problem: None };
    Ok(html(&page)?.into_response())
}

pub(crate) async fn submit<C: Database>(
    State(app): State<Arc<App<C>>>,
    session: Session,
    Checked(account): Checked<Account>,
) -> Result<Response, Failure> {
    let problem = match account.checked_name() {
        None => "Choose a name of 1 to 32 letters, digits, dots, dashes or underscores.",
        Some(_) if account.password.chars().count() < SHORTEST_PASSWORD => {
            "Choose a password of at least 8 characters."
        }
        Some(name) => {
            let hash = app.passwords.hash(account.password).await?;
            if app.query(move |conn| conn.add_user(&name, &hash)).await? {
                return Ok(Redirect::to("/login").into_response());
            }
            "This name is already taken."
        }
    };
    let page = Page { csrf: token(&session).await?, name: account.name, problem: Some(problem) };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}
