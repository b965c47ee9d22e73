//! The pages, one file each: their content and their forms.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};

use crate::failure::Failure;

pub(crate) mod devices;
pub(crate) mod login;
pub(crate) mod notes;
pub(crate) mod register;

/// Renders a template as a response. The template escapes all values.
pub(crate) fn html(template: &impl Template) -> Result<Html<String>, Failure> {
    Ok(Html(template.render()?))
}

/// Returns the style sheet, the only response that browsers may cache.
pub(crate) async fn style() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("../../templates/style.css"))
}

/// Answers a request for a page that does not exist.
pub(crate) async fn missing() -> Failure {
    Failure::Refused(StatusCode::NOT_FOUND, "We could not find this page.")
}
