//! Logging in and out.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use super::html;
use super::register::Account;
use crate::app::App;
use crate::database::Database;
use crate::device;
use crate::failure::Failure;
use crate::forms::{Checked, token};
use crate::visitor::{self, LoggedIn};

#[derive(Template)]
#[template(path = "login.html")]
struct Page {
    csrf: String,
    name: String,
    problem: Option<&'static str>,
}

pub(crate) async fn show(session: Session) -> Result<Response, Failure> {
    if session.get::<i64>(visitor::USER).await?.is_some() {
        return Ok(Redirect::to("/notes").into_response());
    }
    let page = Page { csrf: token(&session).await?, name: String::new(), problem: None };
    Ok(html(&page)?.into_response())
}

pub(crate) async fn submit<C: Database>(
    State(app): State<Arc<App<C>>>,
    session: Session,
    headers: HeaderMap,
    Checked(account): Checked<Account>,
) -> Result<Response, Failure> {
    let user = match account.checked_name() {
        Some(name) => app.query(move |conn| conn.user_of_name(&name)).await?,
        None => None,
    };
    let hash = user.as_ref().map(|user| user.password_hash.as_str());
    let right = app.passwords.is_right(account.password, hash).await?;
    if let Some(user) = user.filter(|_| right) {
        visitor::log_in(&app, &session, &user, device::name(&headers)).await?;
        return Ok(Redirect::to("/notes").into_response());
    }
    // Does not reveal which of the two is wrong.
    let problem = Some("The name or password is incorrect.");
    let page = Page { csrf: token(&session).await?, name: account.name, problem };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

#[derive(Deserialize)]
pub(crate) struct Nothing {}

pub(crate) async fn log_out<C: Database>(
    State(app): State<Arc<App<C>>>,
    visitor: LoggedIn,
    Checked(Nothing {}): Checked<Nothing>,
) -> Result<Redirect, Failure> {
    visitor::log_out(&app, &visitor.session).await?;
    Ok(Redirect::to("/login"))
}
