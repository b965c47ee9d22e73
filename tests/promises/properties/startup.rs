//! What clients send to a PostgreSQL server when they connect.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use diesel::prelude::*;

use crate::support::{Guarded, Sql as _};

const SOCKET: &str = ".s.PGSQL.5432";

/// The role as which every client of a door is let in.
const ROLE: &str = "visitor";

/// What one client has sent. Nothing, at first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Startup {
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) password: Option<String>,
}

/// A client that has connected, and what it has sent so far.
type Visitor = Arc<Mutex<Startup>>;

/// Starts a server that asks for passwords in clear. Only its superuser and `ROLE` can connect.
pub(super) fn house() -> Guarded {
    let house = Guarded::by("local all all password", &[]);
    let mut admin = PgConnection::establish(&house.server.url("postgres")).unwrap();
    admin.run(&format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'"));
    house
}

/// A way into a server (the house) through its socket in another directory. It records each client and what the client
/// says of itself. It then connects the client to the server with one role and one database.
pub(super) struct Door {
    seen: Arc<Mutex<Vec<Visitor>>>,
    is_shut: Arc<AtomicBool>,
    socket: PathBuf,
}

impl Door {
    pub(super) fn in_directory(directory: &Path, house: &Guarded) -> Self {
        let socket = directory.join(SOCKET);
        let listener = UnixListener::bind(&socket).unwrap();
        let door = Self { seen: Arc::default(), is_shut: Arc::default(), socket };
        let (seen, is_shut) = (Arc::clone(&door.seen), Arc::clone(&door.is_shut));
        let server = house.server.directory().join(SOCKET);
        thread::spawn(move || {
            for client in listener.incoming() {
                if is_shut.load(Ordering::SeqCst) {
                    break;
                }
                // A client counts even if it goes away, with what it has sent by then.
                let visitor = Visitor::default();
                seen.lock().unwrap().push(Arc::clone(&visitor));
                let server = server.clone();
                thread::spawn(move || client.and_then(|client| let_in(client, &server, &visitor)));
            }
        });
        door
    }

    /// Returns the clients that came since the last call.
    pub(super) fn visitors(&self) -> Vec<Startup> {
        let visitors = std::mem::take(&mut *self.seen.lock().unwrap());
        visitors.iter().map(|visitor| visitor.lock().unwrap().clone()).collect()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.is_shut.store(true, Ordering::SeqCst);
        // Wakes the thread that waits there.
        let _ = UnixStream::connect(&self.socket);
    }
}

fn let_in(mut client: UnixStream, server: &Path, visitor: &Mutex<Startup>) -> io::Result<()> {
    let said = read_body(&mut client)?;
    visitor.lock().unwrap().parameters = parameters(&said[4..]);
    let mut server = UnixStream::connect(server)?;
    let mut ours = said[..4].to_vec();
    for text in ["user", ROLE, "database", "postgres", "client_encoding", "UTF8", ""] {
        ours.extend_from_slice(text.as_bytes());
        ours.push(0);
    }
    server.write_all(&with_length(&ours))?;
    let mut request = [0; 9];
    server.read_exact(&mut request)?;
    assert_eq!(request, *b"R\0\0\0\x08\0\0\0\x03", "the server asks for a password in clear");
    client.write_all(&request)?;
    let mut kind = [0];
    client.read_exact(&mut kind)?;
    let password = read_body(&mut client)?;
    visitor.lock().unwrap().password = Some(text(password.strip_suffix(&[0]).unwrap_or(&password)));
    server.write_all(&kind)?;
    server.write_all(&with_length(format!("{ROLE}\0").as_bytes()))?;
    let (mut requests, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut requests, &mut to_server);
        to_server.shutdown(std::net::Shutdown::Both)
    });
    io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}

/// Reads a message that follows its length. The length includes itself.
fn read_body(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn with_length(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes(), body].concat()
}

/// Reads names and values in turn. A NUL ends each, and one more NUL ends the list.
fn parameters(said: &[u8]) -> BTreeMap<String, String> {
    let mut texts = said.split(|byte| *byte == 0).map(text);
    let mut parameters = BTreeMap::new();
    while let Some(name) = texts.next().filter(|name| !name.is_empty()) {
        assert!(parameters.insert(name, texts.next().unwrap()).is_none(), "said twice");
    }
    assert!(texts.all(|rest| rest.is_empty()), "something behind the end");
    parameters
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
