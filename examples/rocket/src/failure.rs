//! The answers to requests that are not served.

use diesel_session::Error;
use rocket::Responder;
use rocket::response::Debug;

/// Why a request is not served.
#[derive(Responder)]
pub(crate) enum Failure {
    /// The visitor has no live session with an owner.
    #[response(status = 401)]
    SignedOut(&'static str),
    /// The request names something that does not exist.
    #[response(status = 404)]
    Missing(&'static str),
    /// The request is in order, but cannot be served now.
    #[response(status = 409)]
    Refused(&'static str),
    /// We are at fault. The log gets the error, the visitor only the status 500. The error shows no key and no value.
    Internal(Debug<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::SignedOut("Sign in, please.\n"),
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
