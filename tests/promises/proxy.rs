//! A proxy before a PostgreSQL server, which cuts a connection where a test wants it cut.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use diesel_session::ConnectOptions;
use tempfile::TempDir;
use throwaway_postgres::Server;

const SOCKET: &str = ".s.PGSQL.5432";

/// What does not arrive; then the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never hears of it.
    Request,
    /// The server did it, and the client never hears of that.
    Answer,
}

/// Of a store with one connection: a request is what is sent before an answer is waited for.
pub(crate) struct Proxy {
    directory: TempDir,
    next_cut: Arc<Mutex<Option<(usize, Cut)>>>,
}

impl Proxy {
    pub(crate) fn before(server: &Server) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(SOCKET)).unwrap();
        let (socket, next_cut) = (server.directory().join(SOCKET), Arc::default());
        let cuts = Arc::clone(&next_cut);
        // It ends with the tests.
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(server) = UnixStream::connect(&socket) else { continue };
                client
                    .and_then(|client| pass_on(client, server, &cuts))
                    .expect("two streams and two threads");
            }
        });
        Self { directory, next_cut }
    }

    /// The way to that database through the proxy.
    pub(crate) fn options(&self, url: &str) -> ConnectOptions {
        let options: ConnectOptions = url.parse().unwrap();
        options.host(self.directory.path().to_str().unwrap())
    }

    /// Cuts the request of that number from now, 1 being the next, or its answer.
    pub(crate) fn cut(&self, number: usize, cut: Cut) {
        *self.next_cut.lock().unwrap() = Some((number, cut));
    }

    pub(crate) fn has_cut(&self) -> bool {
        self.next_cut.lock().unwrap().is_none()
    }
}

fn pass_on(
    client: UnixStream,
    server: UnixStream,
    cuts: &Arc<Mutex<Option<(usize, Cut)>>>,
) -> io::Result<()> {
    let is_muted = Arc::new(AtomicBool::new(false));
    let (requests, to_server) = (client.try_clone()?, server.try_clone()?);
    let (cuts, muting) = (Arc::clone(cuts), Arc::clone(&is_muted));
    thread::Builder::new().spawn(move || {
        copy(requests, to_server, || match due(&cuts) {
            Some(Cut::Request) => false,
            Some(Cut::Answer) => {
                muting.store(true, Ordering::SeqCst);
                true
            }
            None => true,
        });
    })?;
    thread::Builder::new().spawn(move || copy(server, client, || !is_muted.load(Ordering::SeqCst)))?;
    Ok(())
}

/// Counts one request down, and says what is cut of it.
fn due(cuts: &Mutex<Option<(usize, Cut)>>) -> Option<Cut> {
    let mut next = cuts.lock().unwrap();
    let (number, cut) = (*next)?;
    *next = (number > 1).then(|| (number - 1, cut));
    (number == 1).then_some(cut)
}

/// Copies until one side ends or a message may not pass, and then ends both.
fn copy(mut from: UnixStream, mut to: UnixStream, mut may_pass: impl FnMut() -> bool) {
    let mut buffer = [0; 1 << 13];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !may_pass() || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        // The other side may have ended first.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
