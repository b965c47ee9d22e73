//! The responses to requests that fail.

use diesel_session::Error;
use rocket::Responder;
use rocket::response::Debug;

/// Why a request fails.
#[derive(Responder)]
pub(crate) enum Failure {
    /// The visitor has no live session with an owner.
    #[response(status = 401)]
    SignedOut(&'static str),
    /// The request names something that does not exist.
    #[response(status = 404)]
    Missing(&'static str),
    /// The request is valid but cannot be served now.
    #[response(status = 409)]
    Refused(&'static str),
    /// An internal error. The log gets the error, which shows no key and no value. The visitor gets only the status
    /// 500.
    Internal(Debug<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::SignedOut("Please sign in.\n"),
            Error::ValueTooLarge { .. } => Self::Refused("Your cart is full.\n"),
            error => Self::Internal(Debug(error)),
        }
    }
}

/// A transaction needs this for its own statements.
impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        Error::from(error).into()
    }
}
