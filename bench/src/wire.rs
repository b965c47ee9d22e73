//! The messages that an operation sends to the server, counted by a proxy in between.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use bench_measure::{Amount, Operation, PERIOD};
use serde::Serialize;
use tempfile::TempDir;
use tower_sessions_sqlx_store::sqlx::postgres::PgConnectOptions;

use crate::contenders::diesel_session::{Table, Threads};
use crate::contenders::tasks::Tasks;
use crate::contenders::{Contender, Name, value};
use crate::plan::BASE_VALUE;
use crate::server::{Database, Postgres};

/// Enough operations that all work once per connection is done.
const WARM_UP: usize = 16;
const COUNTED: usize = 100;

/// Messages per operation on a warm connection.
#[derive(Debug, Serialize)]
pub(crate) struct Traffic {
    pub(crate) contender: Name,
    pub(crate) operation: Operation,
    pub(crate) round_trips: f64,
    pub(crate) statements: f64,
    pub(crate) parsed: f64,
}

#[derive(Default)]
struct Counts {
    /// The server answers each `Sync` and each simple query, and the client waits for the answer.
    round_trips: AtomicUsize,
    statements: AtomicUsize,
    parsed: AtomicUsize,
}

impl Counts {
    fn now(&self) -> [usize; 3] {
        [&self.round_trips, &self.statements, &self.parsed].map(|count| count.load(Ordering::Relaxed))
    }
}

/// Measures the traffic of each store through a proxy.
pub(crate) fn traffic(server: &Postgres) -> Result<Vec<Traffic>> {
    let (value, counts) = (value(BASE_VALUE), Arc::new(Counts::default()));
    let (ours, _ours) = proxied(server.database(false)?, &counts)?;
    let (theirs, _theirs) = proxied(server.database(false)?, &counts)?;
    let table = Table::on_postgres(ours, COUNTED, &value, PERIOD)?;
    let (tower, _tower) = proxied(server.database(false)?, &counts)?;
    let tower = Table::of_tower_sessions(tower, COUNTED, &value)?;
    let all = &[Operation::Get, Operation::Set, Operation::Generate, Operation::Clear][..];
    // Only the blocking stores update.
    let update = &[Operation::Update][..];
    let with_update = [all, update].concat();
    let contenders: [(Box<dyn Contender>, &[Operation]); 5] = [
        (Box::new(Threads::on_postgres(Name::Unbounded, Rc::clone(&table), &value)?), &with_update),
        (Box::new(Threads::on_postgres(Name::Locked, Rc::clone(&table), &value)?), update),
        (Box::new(Threads::on_postgres(Name::Bounded, table, &value)?), all),
        (Box::new(Tasks::tower(Name::Tower, tower, &value)?), all),
        (Box::new(Tasks::on_postgres(Name::Sqlx, theirs, COUNTED, &value)?), all),
    ];
    let mut traffic = Vec::new();
    for (mut contender, operations) in contenders {
        for &operation in operations {
            contender.run(operation, 1, Amount::Operations(WARM_UP))?;
        }
        for &operation in operations {
            let before = counts.now();
            contender.run(operation, 1, Amount::Operations(COUNTED))?;
            let [round_trips, statements, parsed] =
                std::array::from_fn(|kind| (counts.now()[kind] - before[kind]) as f64 / COUNTED as f64);
            traffic.push(Traffic { contender: contender.name(), operation, round_trips, statements, parsed });
        }
    }
    Ok(traffic)
}

/// Puts a proxy in front of the database. Its socket is in the directory. It listens until the program ends.
fn proxied(mut database: Database, counts: &Arc<Counts>) -> Result<(Database, TempDir)> {
    let server = Address::of(&database.url)?;
    let directory = tempfile::tempdir()?;
    let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432"))?;
    let separator = if database.url.contains('?') { '&' } else { '?' };
    database.url = format!("{}{separator}host={}&port=5432", database.url, directory.path().display());
    let counts = Arc::clone(counts);
    thread::spawn(move || {
        for client in listener.incoming() {
            complain(client.and_then(|client| forward(client, &server, &counts)));
        }
    });
    Ok((database, directory))
}

/// The server's address.
enum Address {
    Unix(PathBuf),
    Tcp(String, u16),
}

impl Address {
    fn of(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url).context("DATABASE_URL")?;
        Ok(match options.get_socket() {
            Some(directory) => Self::Unix(directory.join(format!(".s.PGSQL.{}", options.get_port()))),
            None => Self::Tcp(options.get_host().to_owned(), options.get_port()),
        })
    }
}

/// Forwards both directions of one connection, on two threads.
fn forward(client: UnixStream, server: &Address, counts: &Arc<Counts>) -> io::Result<()> {
    match server {
        Address::Unix(path) => {
            let server = UnixStream::connect(path)?;
            let ends = (server.try_clone()?, client.try_clone()?);
            forward_both(client, server, ends, counts, |server| server.shutdown(Shutdown::Both));
        }
        Address::Tcp(host, port) => {
            let server = TcpStream::connect((host.as_str(), *port))?;
            server.set_nodelay(true)?;
            let ends = (server.try_clone()?, client.try_clone()?);
            forward_both(client, server, ends, counts, |server| server.shutdown(Shutdown::Both));
        }
    }
    Ok(())
}

fn forward_both<S: Read + Write + Send + 'static>(
    client: UnixStream,
    server: S,
    (mut answers, mut answered): (S, UnixStream),
    counts: &Arc<Counts>,
    end: fn(&S) -> io::Result<()>,
) {
    // The end of one direction ends the other too, and both ends see it.
    thread::spawn(move || {
        complain(io::copy(&mut answers, &mut answered));
        complain(answered.shutdown(Shutdown::Both));
    });
    let (mut client, mut server, counts) = (client, server, Arc::clone(counts));
    thread::spawn(move || {
        complain(forward_messages(&mut client, &mut server, &counts));
        complain(end(&server));
    });
}

/// Prints an error, except the end of a connection, which one direction often sees because of the other.
fn complain<T>(result: io::Result<T>) {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof};
    if let Err(error) = result
        && !matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected | UnexpectedEof)
    {
        eprintln!("the proxy: {error}");
    }
}

/// Forwards and counts messages. See "Message Formats" in PostgreSQL's manual: a message is a type, a length and the
/// rest. Only the messages that open a connection have no type.
fn forward_messages(client: &mut impl Read, server: &mut impl Write, counts: &Counts) -> io::Result<()> {
    // Requests for encryption may come before the message with version 3.x. Their number is higher.
    while forward_body(client, server, &mut Vec::new())?.is_some_and(|number| number >> 16 != 3) {}
    loop {
        let mut kind = [0];
        client.read_exact(&mut kind)?;
        match kind[0] {
            b'S' => counts.round_trips.fetch_add(1, Ordering::Relaxed),
            b'E' => counts.statements.fetch_add(1, Ordering::Relaxed),
            b'P' => counts.parsed.fetch_add(1, Ordering::Relaxed),
            b'Q' => {
                counts.statements.fetch_add(1, Ordering::Relaxed);
                counts.round_trips.fetch_add(1, Ordering::Relaxed)
            }
            _ => 0,
        };
        forward_body(client, server, &mut kind.to_vec())?;
    }
}

/// Forwards `message`, which was read already, and the rest of it. Returns the number that its body begins with.
fn forward_body(
    client: &mut impl Read,
    server: &mut impl Write,
    message: &mut Vec<u8>,
) -> io::Result<Option<u32>> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    message.extend(length);
    let start = message.len();
    // The length includes itself.
    message.resize(start + (u32::from_be_bytes(length) as usize).saturating_sub(4), 0);
    client.read_exact(&mut message[start..])?;
    server.write_all(message)?;
    Ok(message[start..].first_chunk().copied().map(u32::from_be_bytes))
}
