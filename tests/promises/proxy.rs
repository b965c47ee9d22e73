//! A proxy in front of a PostgreSQL or MariaDB server. It cuts a connection where a test wants it.

use std::any::Any;
use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use crate::support::{Database, MARIADB, MariaDb};

/// A database, and a proxy in front of its server.
pub(crate) struct Proxied {
    pub(crate) proxy: Proxy,
    /// The address of the database through the proxy.
    pub(crate) through: String,
    /// The address of the database itself.
    pub(crate) url: String,
    /// The database, and its server if it has one of its own. The database is dropped first.
    pub(crate) kept: Box<dyn Any>,
}

impl Proxied {
    pub(crate) fn postgres() -> Self {
        let server = throwaway_postgres::Server::start(&[]).unwrap();
        let database = Database::on(&server.url("postgres"));
        let socket = server.directory().join(".s.PGSQL.5432");
        Self::new(&socket, database.url.clone(), Box::new((database, server)))
    }

    pub(crate) fn mariadb() -> Self {
        let database = MariaDb::new();
        Self::new(&MARIADB.socket(), database.url.clone(), Box::new(database))
    }

    fn new(socket: &Path, url: String, kept: Box<dyn Any>) -> Self {
        let proxy = Proxy::before(socket);
        let through = proxy.through(&url);
        Self { proxy, through, url, kept }
    }
}

/// The message that does not arrive. Then the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never gets the request.
    Request,
    /// The server carries out the request, and the client never gets the answer.
    Answer,
    /// The client's connection ends. The server gets the request when [`Proxy::deliver`] is called.
    Late,
}

/// The request that is held back, and the connection to the server for it.
type Held = Arc<Mutex<Option<(UnixStream, Vec<u8>)>>>;

/// Selects the request to cut.
#[derive(Clone, Copy)]
enum Which {
    /// The request of that number from now. The next one is 1.
    Number(usize),
    /// The next request with this text. The first request of a statement on a connection contains its SQL.
    With(&'static str),
}

/// The next cuts, in order.
type Cuts = Arc<Mutex<VecDeque<(Which, Cut)>>>;

/// A proxy for a store with one connection. A request is everything that the client sends before it waits for an
/// answer.
pub(crate) struct Proxy {
    directory: TempDir,
    /// The directory of the server's socket.
    servers: PathBuf,
    cuts: Cuts,
    held: Held,
}

impl Proxy {
    /// Begins to listen in front of the server with this socket.
    pub(crate) fn before(socket: &Path) -> Self {
        let servers = socket.parent().unwrap().to_owned();
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(socket.file_name().unwrap())).unwrap();
        let (socket, cuts) = (socket.to_owned(), Cuts::default());
        let held = Held::default();
        let (cutting, holding) = (Arc::clone(&cuts), Arc::clone(&held));
        // The thread ends with the tests.
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(server) = UnixStream::connect(&socket) else { continue };
                client
                    .and_then(|client| pass_on(client, server, &cutting, &holding))
                    .expect("two streams and two threads");
            }
        });
        Self { directory, servers, cuts, held }
    }

    /// Returns the address through the proxy for an address of the server.
    pub(crate) fn through(&self, url: &str) -> String {
        url.replace(self.servers.to_str().unwrap(), self.directory.path().to_str().unwrap())
    }

    /// Cuts the request of that number from now, or its answer. The next request is 1.
    pub(crate) fn cut(&self, number: usize, cut: Cut) {
        self.cuts.lock().unwrap().push_back((Which::Number(number), cut));
    }

    /// Cuts the next request with this text, or its answer, after the earlier cuts.
    pub(crate) fn cut_with(&self, text: &'static str, cut: Cut) {
        self.cuts.lock().unwrap().push_back((Which::With(text), cut));
    }

    /// Forgets the cuts that were not reached. Returns whether there were any.
    pub(crate) fn forget(&self) -> bool {
        let mut cuts = self.cuts.lock().unwrap();
        let was_left = !cuts.is_empty();
        cuts.clear();
        was_left
    }

    /// Sends the server the request that was held back.
    pub(crate) fn deliver(&self) {
        let (mut server, request) = self.held.lock().unwrap().take().expect("a request was held back");
        server.write_all(&request).unwrap();
    }

    pub(crate) fn has_cut(&self) -> bool {
        self.cuts.lock().unwrap().is_empty()
    }
}

fn pass_on(client: UnixStream, server: UnixStream, cuts: &Cuts, held: &Held) -> io::Result<()> {
    let is_muted = Arc::new(AtomicBool::new(false));
    let (requests, to_server) = (client.try_clone()?, server.try_clone()?);
    let (cuts, held, muting) = (Arc::clone(cuts), Arc::clone(held), Arc::clone(&is_muted));
    let (to_hold, to_leave) = (server.try_clone()?, client.try_clone()?);
    thread::Builder::new().spawn(move || {
        copy(requests, to_server, |request| match due(&cuts, request) {
            Some(Cut::Request) => Pass::End,
            Some(Cut::Answer) => {
                muting.store(true, Ordering::SeqCst);
                Pass::On
            }
            Some(Cut::Late) => {
                // The answer reaches no client.
                muting.store(true, Ordering::SeqCst);
                let held_back = to_hold.try_clone().map(|server| (server, request.to_vec()));
                *held.lock().unwrap() = Some(held_back.expect("a stream"));
                let _ = to_leave.shutdown(Shutdown::Both);
                Pass::Hold
            }
            None => Pass::On,
        });
    })?;
    thread::Builder::new().spawn(move || {
        copy(server, client, |_| if is_muted.load(Ordering::SeqCst) { Pass::End } else { Pass::On });
    })?;
    Ok(())
}

/// What happens to a message.
enum Pass {
    On,
    /// The message is dropped, and both sides are closed.
    End,
    /// The message stays here, and both sides are left alone.
    Hold,
}

/// Counts one request down, and returns what is cut of it.
fn due(cuts: &Cuts, request: &[u8]) -> Option<Cut> {
    let mut cuts = cuts.lock().unwrap();
    let (which, cut) = cuts.front_mut()?;
    let is_due = match which {
        Which::Number(number) => {
            *number -= 1;
            *number == 0
        }
        Which::With(text) => request.windows(text.len()).any(|part| part == text.as_bytes()),
    };
    let cut = *cut;
    is_due.then(|| {
        cuts.pop_front();
        cut
    })
}

/// Copies until one side ends or a message may not pass, and then closes both.
fn copy(mut from: UnixStream, mut to: UnixStream, mut pass: impl FnMut(&[u8]) -> Pass) {
    let mut buffer = [0; 1 << 13];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        match pass(&buffer[..length]) {
            Pass::On if to.write_all(&buffer[..length]).is_ok() => {}
            Pass::On | Pass::End => break,
            Pass::Hold => return,
        }
    }
    for stream in [from, to] {
        // The other side may have ended first.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
