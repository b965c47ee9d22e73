//! Forms that other sites cannot send in a visitor's name.

use anyhow::Context as _;
use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq as _;
use tower_sessions::Session;

use crate::failure::Failure;

/// The session's field with the token.
const TOKEN: &str = "csrf";

/// Returns the token for this session's forms. Generates it on first use.
pub(crate) async fn token(session: &Session) -> Result<String, Failure> {
    if let Some(token) = session.get(TOKEN).await? {
        return Ok(token);
    }
    renew_token(session).await
}

/// Generates a new token. Forms with the old one are then refused.
pub(crate) async fn renew_token(session: &Session) -> Result<String, Failure> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let token = hex::encode(random);
    session.insert(TOKEN, &token).await?;
    Ok(token)
}

/// A form that carried its session's token.
pub(crate) struct Checked<T>(pub(crate) T);

#[derive(Deserialize)]
struct WithToken<T> {
    #[serde(default)]
    csrf: String,
    #[serde(flatten)]
    form: T,
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequest<S> for Checked<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let session: Session = request.extensions().get().cloned().context("no session layer")?;
        let Ok(Form(WithToken { csrf, form })) = Form::from_request(request, state).await else {
            return Err(Failure::Refused(StatusCode::BAD_REQUEST, "The form is incomplete or too long."));
        };
        let expected: Option<String> = session.get(TOKEN).await?;
        // If the session has no token, none is accepted.
        if expected.is_some_and(|expected| expected.as_bytes().ct_eq(csrf.as_bytes()).into()) {
            Ok(Self(form))
        } else {
            Err(Failure::Refused(StatusCode::FORBIDDEN, "This page has expired. Go back and reload it."))
        }
    }
}
