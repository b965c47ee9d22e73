//! TLS to PostgreSQL with rustls: what each `sslmode` tries, and in which order.

use std::error::Error as StdError;
use std::fmt::Write as _;

use diesel::ConnectionError::BadConnection;
use diesel::ConnectionResult;
use diesel_async::AsyncPgConnection;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode as Attempt;
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use self::handshake::{Handshake, HandshakeFailed};
use super::cancel::Cancel;
use crate::conninfo::{SslMode, TlsParameters};
use crate::error::Error;

mod client_config;
mod files;
mod handshake;
mod verifier;

/// Opens connections to one host, as its `sslmode` demands.
#[derive(Clone)]
pub(crate) struct TlsConnector {
    config: Config,
    mode: SslMode,
    rustls: MakeRustlsConnect,
}

impl TlsConnector {
    /// Reads the files that the parameters name, once for all connections. Returns `None` for a mode without TLS.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a file that cannot be used.
    pub(crate) fn new(address: &str, parameters: &TlsParameters) -> Result<Option<Self>, Error> {
        if parameters.mode == SslMode::Disable {
            return Ok(None);
        }
        let rustls = MakeRustlsConnect::new(client_config::client_config(parameters)?);
        // The address was read before. The error of this parser could quote it.
        let config = address.parse().map_err(|_| Error::Configuration {
            setting: "connection",
            reason: "tokio-postgres does not accept the address".to_owned(),
        })?;
        Ok(Some(Self { config, mode: parameters.mode, rustls }))
    }

    pub(crate) fn cancel(&self) -> Cancel {
        Cancel::over_tls(self.rustls.clone())
    }

    pub(crate) async fn establish(&self) -> ConnectionResult<AsyncPgConnection> {
        let connected = match self.mode {
            SslMode::Disable => self.attempt(Attempt::Disable).await,
            SslMode::Allow => match self.attempt(Attempt::Disable).await {
                Err(plain) if plain.is_refusal() => self
                    .attempt(Attempt::Require)
                    .await
                    .map_err(|failure| failure.after("without TLS", &plain)),
                connected => connected,
            },
            SslMode::Prefer => match self.attempt(Attempt::Prefer).await {
                Err(tls) if tls.may_be_due_to_tls() => {
                    self.attempt(Attempt::Disable).await.map_err(|failure| failure.after("with TLS", &tls))
                }
                connected => connected,
            },
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                self.attempt(Attempt::Require).await
            }
        };
        connected.map_err(|failure| BadConnection(failure.text()))?.await
    }

    async fn attempt(
        &self,
        attempt: Attempt,
    ) -> Result<impl Future<Output = ConnectionResult<AsyncPgConnection>> + use<>, Failure> {
        let mut config = self.config.clone();
        config.ssl_mode(attempt);
        let handshake = Handshake::new(self.rustls.clone());
        match config.connect(handshake.clone()).await {
            Ok((client, connection)) => {
                Ok(AsyncPgConnection::try_from_client_and_connection(client, connection))
            }
            Err(error) => Err(Failure { error, encrypted: handshake.was_begun(), before: String::new() }),
        }
    }
}

/// Why an attempt failed.
struct Failure {
    error: tokio_postgres::Error,
    /// Whether the server agreed to TLS.
    encrypted: bool,
    /// The attempt before this one, and its error, as text.
    before: String,
}

impl Failure {
    /// Whether the server's rules refuse this client, or refuse it over this kind of connection.
    fn is_refusal(&self) -> bool {
        let refusals = [&SqlState::INVALID_AUTHORIZATION_SPECIFICATION, &SqlState::INVALID_PASSWORD];
        self.error.code().is_some_and(|code| refusals.contains(&code))
    }

    fn may_be_due_to_tls(&self) -> bool {
        let handshake_failed = self.error.source().is_some_and(<dyn StdError>::is::<HandshakeFailed>);
        self.encrypted && (handshake_failed || self.is_refusal())
    }

    fn after(self, how: &str, failure: &Self) -> Self {
        Self { before: format!("{how}: {}; then ", failure.text()), ..self }
    }

    /// Returns the error and its causes as one text, because Diesel's error for a connection has no source.
    fn text(&self) -> String {
        let mut text = format!("{}{}", self.before, self.error);
        let mut source = self.error.source();
        while let Some(cause) = source {
            // Writing to a string does not fail.
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        text
    }
}
