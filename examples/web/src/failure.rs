//! The responses to requests that fail.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::pages;

/// Why a request fails.
pub(crate) enum Failure {
    /// There is no session, or it has ended. The response redirects to the login.
    LoggedOut,
    /// The request is wrong, and the message tells the visitor why.
    Refused(StatusCode, &'static str),
    /// An internal error. It goes to the log, and the visitor does not see it.
    Internal(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Internal(error.into())
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    message: &'static str,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::LoggedOut => return Redirect::to("/login").into_response(),
            Self::Refused(status, message) => (status, message),
            Self::Internal(error) => {
                tracing::error!("{error:#}");
                (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side. Please try again.")
            }
        };
        match pages::html(&Message { message }) {
            Ok(page) => (status, page).into_response(),
            Err(_) => (status, message).into_response(),
        }
    }
}
