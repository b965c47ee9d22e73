//! Asks a server to cancel the statement of a connection.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio_postgres::{CancelToken, NoTls};

use crate::options::CancelRequest;

/// Asks a server to cancel the statement of a connection. The request contains a secret that is good for nothing else.
/// The store closes the connection after the request.
#[derive(Clone)]
pub(crate) struct Cancel(CancelRequest);

impl Cancel {
    /// Sends the request with the application's function.
    pub(crate) fn by(request: CancelRequest) -> Self {
        Self(request)
    }

    /// Sends the request without TLS, as libpq does up to version 16. It fails for a connection that requires TLS.
    pub(crate) fn in_clear() -> Self {
        Self(Arc::new(|token| async move { token.cancel_query(NoTls).await }.boxed()))
    }

    /// Sends the request over TLS, for the connections of this TLS configuration.
    #[cfg(feature = "rustls")]
    pub(crate) fn over_tls(rustls: tokio_postgres_rustls::MakeRustlsConnect) -> Self {
        Self(Arc::new(move |token| {
            let rustls = rustls.clone();
            async move { token.cancel_query(rustls).await }.boxed()
        }))
    }

    /// Sends the request. The future ends when the server has received it, perhaps before it has cancelled anything.
    pub(crate) fn request(
        &self,
        token: CancelToken,
    ) -> impl Future<Output = Result<(), tokio_postgres::Error>> + use<> {
        (self.0)(token)
    }
}
