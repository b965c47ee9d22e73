//! A TLS handshake that records how it went, because tokio-postgres has one error for all failures.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryFutureExt as _};
use tokio_postgres::Socket;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Starts TLS on the connections of one attempt.
#[derive(Clone)]
pub(super) struct Handshake {
    rustls: MakeRustlsConnect,
    begun: Arc<AtomicBool>,
}

impl Handshake {
    pub(super) fn new(rustls: MakeRustlsConnect) -> Self {
        Self { rustls, begun: Arc::default() }
    }

    /// Whether the server agreed to TLS.
    pub(super) fn was_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }
}

impl MakeTlsConnect<Socket> for Handshake {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = OneHandshake;
    type Error = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<OneHandshake, Self::Error> {
        let rustls = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.rustls, host)?;
        Ok(OneHandshake { rustls, begun: Arc::clone(&self.begun) })
    }
}

pub(super) struct OneHandshake {
    rustls: <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect,
    begun: Arc<AtomicBool>,
}

impl TlsConnect<Socket> for OneHandshake {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type Error = HandshakeFailed;
    type Future = BoxFuture<'static, Result<Self::Stream, HandshakeFailed>>;

    fn connect(self, socket: Socket) -> Self::Future {
        self.begun.store(true, Ordering::SeqCst);
        self.rustls.connect(socket).map_err(HandshakeFailed).boxed()
    }
}

/// The server agreed to TLS, but then the handshake failed.
#[derive(Debug)]
pub(super) struct HandshakeFailed(io::Error);

impl fmt::Display for HandshakeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for HandshakeFailed {}
