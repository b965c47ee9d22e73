//! What a request gets that cannot be served.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::pages;

/// Why a request is not served.
pub(crate) enum Failure {
    /// There is no session, or no longer: to the login.
    LoggedOut,
    /// The request is at fault, and this tells the visitor how.
    Refused(StatusCode, &'static str),
    /// We are: the log gets the error, and the visitor no word of it.
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
