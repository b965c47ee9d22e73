//! The pages, a file each: what they show and what their forms do.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};

use crate::failure::Failure;

pub(crate) mod devices;
pub(crate) mod login;
pub(crate) mod notes;
pub(crate) mod register;

/// A template as an answer. What a template shows is escaped.
pub(crate) fn html(template: &impl Template) -> Result<Html<String>, Failure> {
    Ok(Html(template.render()?))
}

/// The style sheet, the one thing that browsers may keep.
pub(crate) async fn style() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("../../templates/style.css"))
}

/// Where there is nothing.
pub(crate) async fn missing() -> Failure {
    Failure::Refused(StatusCode::NOT_FOUND, "There is no such page.")
}
