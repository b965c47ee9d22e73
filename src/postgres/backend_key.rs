//! The id of the server process that serves a connection, as the server sends it at the login.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use diesel_async::AsyncPgConnection;
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Returns the id of that process. PostgreSQL sends it for later requests to cancel. A pooler makes up an id, because
/// any process may serve the connection.
///
/// tokio-postgres does not expose the id, but writes it into a request to cancel. This function lets it write the
/// request into memory, and sends nothing to a server.
pub(super) fn process_at_login(conn: &AsyncPgConnection) -> Option<i32> {
    let mut request = Memory(Vec::new());
    conn.cancel_token().cancel_query_raw(&mut request, InClear).now_or_never()?.ok()?;
    // The last eight bytes are the id of the process and its secret.
    let (rest, _secret) = request.0.split_last_chunk::<4>()?;
    rest.last_chunk().copied().map(i32::from_be_bytes)
}

/// Keeps the bytes that are written to it. It answers every request for TLS with yes.
struct Memory(Vec<u8>);

impl AsyncRead for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0 {
            buffer.put_slice(b"S");
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A connection without encryption, because nothing leaves the memory.
struct InClear;

impl<'a> TlsConnect<&'a mut Memory> for InClear {
    type Stream = &'a mut Memory;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<&'a mut Memory>>;

    fn connect(self, memory: &'a mut Memory) -> Self::Future {
        std::future::ready(Ok(memory))
    }
}

impl TlsStream for &mut Memory {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}
