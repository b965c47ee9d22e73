//! Requests to cancel what a connection does.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio_postgres::{CancelToken, NoTls};

use crate::options::CancelRequest;

/// Asks a server to cancel what a connection does. The request has a secret in it, which can do no more than that. The
/// connection is closed after it.
#[derive(Clone)]
pub(crate) struct Cancel(CancelRequest);

impl Cancel {
    /// By the application's function.
    pub(crate) fn by(request: CancelRequest) -> Self {
        Self(request)
    }

    /// Without TLS, as libpq sends it up to version 16. It fails for a connection that requires TLS.
    pub(crate) fn in_clear() -> Self {
        Self(Arc::new(|token| async move { token.cancel_query(NoTls).await }.boxed()))
    }

    /// For connections that these parameters of TLS were made for.
    #[cfg(feature = "rustls")]
    pub(crate) fn over_tls(rustls: tokio_postgres_rustls::MakeRustlsConnect) -> Self {
        Self(Arc::new(move |token| {
            let rustls = rustls.clone();
            async move { token.cancel_query(rustls).await }.boxed()
        }))
    }

    /// Ends when the server has the request, which can be before it has cancelled anything.
    pub(crate) fn request(
        &self,
        token: CancelToken,
    ) -> impl Future<Output = Result<(), tokio_postgres::Error>> + use<> {
        (self.0)(token)
    }
}
