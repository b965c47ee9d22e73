//! Recognises a pooler that loses the prepared statements of a connection.
//!
//! diesel-async prepares every statement by name. A pooler in transaction mode lends a connection of the server for one
//! transaction. The next call can get a connection without the name, or one on which another client uses the name. The
//! store accepts a pooler that tracks the names. PgBouncer does so from 1.21 on, with `max_prepared_statements`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::ConnectionError::{BadConnection, CouldntSetupConfiguration};
use diesel::result::DatabaseErrorKind::Unknown;
use diesel::result::Error::DatabaseError;
use diesel::sql_types::{Bool, Integer};
use diesel::{ConnectionResult, QueryResult, QueryableByName, sql_query};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use tokio::time::sleep;

use super::backend_key::process_at_login;
use super::connector::{Connector, in_time};
use super::set_up;
use crate::error::Error;
use crate::options::ConnectionSettings;

/// How often the store asks a connection which process serves it: first alone, and then in turn with a second
/// connection. To recognise an idle pooler, two questions to the first and then one to the second are enough. The other
/// questions are for a busy pooler, which lends its processes by chance.
const QUESTIONS: usize = 4;

/// How long it may take at most to open the second connection. A pooler in session mode may have no connection left.
/// The store accepts it nevertheless. The questions have as long as the connection itself, because a busy pooler answers
/// late.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pause before `established` tries again.
const PAUSE: Duration = Duration::from_millis(10);

/// The poolers before the servers of a store.
#[derive(Clone, Default)]
pub(crate) struct Poolers {
    /// Why the last connection was refused, if that is the case.
    refused: Arc<Mutex<Option<Refused>>>,
    /// The result of the check of the first connection to each host, by the host's number. Refused hosts are missing.
    seen: Arc<Mutex<HashMap<usize, Seen>>>,
}

#[derive(Clone, Copy)]
enum Refused {
    LosesStatements,
    LeaksSchema,
}

/// The kind of pooler before a host.
#[derive(Clone, Copy)]
enum Seen {
    /// No pooler, or one in session mode: each connection has its own process.
    OwnProcess,
    /// The pooler lends a process for one transaction, and tracks prepared statements.
    KeepsStatements,
    /// The pooler lends a process for one transaction, and does not track prepared statements.
    LosesStatements,
}

impl Poolers {
    /// Opens a connection and sets it up. With the first connection to each host, it looks for a pooler. In transaction
    /// mode it sends no settings, because a setting would stay on one of the pooler's connections.
    pub(crate) async fn connection(
        &self,
        host: usize,
        connector: &Connector,
        settings: &ConnectionSettings,
        limit: Duration,
    ) -> ConnectionResult<AsyncPgConnection> {
        self.refuse(None);
        let (mut conn, seen) = match self.seen(host) {
            Some(seen) => (connector.establish().await?, seen),
            None => looked_at(connector, limit).await?,
        };
        let refused = match seen {
            Seen::OwnProcess => None,
            Seen::KeepsStatements => settings.schema.as_ref().map(|_| Refused::LeaksSchema),
            Seen::LosesStatements => Some(Refused::LosesStatements),
        };
        self.refuse(refused);
        if let Some(refused) = refused {
            return Err(BadConnection(refused.error().to_string()));
        }
        self.see(host, seen);
        if matches!(seen, Seen::OwnProcess) {
            for statement in set_up(settings) {
                conn.batch_execute(&statement).await.map_err(CouldntSetupConfiguration)?;
            }
        }
        Ok(conn)
    }

    /// Returns the error if the last connection was refused because of a pooler. Another attempt would fail, too.
    ///
    /// The error is [`Error::TransactionPooler`]. It is [`Error::Configuration`] for a schema, because the schema would
    /// reach the pooler's other clients.
    pub(crate) fn refusal(&self) -> Option<Error> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).map(Refused::error)
    }

    fn refuse(&self, refused: Option<Refused>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
    }

    fn seen(&self, host: usize) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&host).copied()
    }

    fn see(&self, host: usize, seen: Seen) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(host, seen);
    }
}

impl Refused {
    fn error(self) -> Error {
        match self {
            Self::LosesStatements => Error::TransactionPooler,
            Self::LeaksSchema => ConnectionSettings::schema_leaks(),
        }
    }
}

/// Establishes a connection. A busy pooler may run the first statements of diesel-async on another connection of the
/// server than it prepared them on. They then fail, and this tries again.
async fn established(connector: &Connector, limit: Duration) -> ConnectionResult<AsyncPgConnection> {
    let started = Instant::now();
    loop {
        match Box::pin(connector.establish()).await {
            Err(CouldntSetupConfiguration(DatabaseError(Unknown, _))) if started.elapsed() < limit => {
                sleep(PAUSE).await;
            }
            made => return made,
        }
    }
}

/// Opens the first connection to an address and looks for a pooler. Both may take `limit` together.
async fn looked_at(connector: &Connector, limit: Duration) -> ConnectionResult<(AsyncPgConnection, Seen)> {
    let mut conn = established(connector, limit / 2).await?;
    let first = served_by(&mut conn).await?;
    if first.is_renamed {
        return Ok((conn, Seen::KeepsStatements));
    }
    if process_at_login(&conn) == Some(first.process) {
        return Ok((conn, Seen::OwnProcess));
    }
    let patience = PATIENCE.min(limit / 4);
    let another = in_time(patience, established(connector, patience));
    let lent = is_lent(&mut conn, first.process, another).await?;
    Ok((conn, if lent { Seen::LosesStatements } else { Seen::OwnProcess }))
}

/// Returns whether a pooler lends processes for one transaction at a time. Asks this connection, and a second one to
/// the same address.
///
/// A connection to the server itself has one process until its end. The same holds for a connection through a pooler in
/// session mode. So if one connection has two processes, or two open connections have the same one, a pooler lends
/// them. A busy pooler can hide that by chance.
async fn is_lent(
    conn: &mut AsyncPgConnection,
    process: i32,
    another: impl Future<Output = ConnectionResult<AsyncPgConnection>>,
) -> ConnectionResult<bool> {
    for _ in 1..QUESTIONS {
        if served_by(conn).await?.process != process {
            return Ok(true);
        }
    }
    let mut another = match another.await {
        Ok(another) => another,
        // A pooler in session mode may have no second connection left.
        Err(BadConnection(_)) => return Ok(false),
        Err(failed) => return Err(failed),
    };
    let others = served_by(&mut another).await?.process;
    if others == process {
        return Ok(true);
    }
    for _ in 0..QUESTIONS {
        let now = (served_by(conn).await?.process, served_by(&mut another).await?.process);
        if now != (process, others) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The process that serves a connection during one transaction.
#[derive(QueryableByName)]
struct Served {
    #[diesel(sql_type = Integer)]
    process: i32,
    /// Whether this connection's statement has a different name at the server than at the client.
    #[diesel(sql_type = Bool)]
    is_renamed: bool,
}

/// Finds its own statement by the comment in it. tokio-postgres names the statements `s0`, `s1` and so on.
const SERVED_BY: &str = "SELECT pg_catalog.pg_backend_pid() AS process, \
    EXISTS (SELECT FROM pg_catalog.pg_prepared_statements \
            WHERE statement OPERATOR(pg_catalog.~~) '%/* diesel-session looks for a pooler */%' \
            AND name OPERATOR(pg_catalog.!~) '^s[0-9]+$') AS is_renamed \
    /* diesel-session looks for a pooler */";

/// Asks which process serves the connection. Within a transaction, a pooler prepares and runs a statement on the same
/// process. diesel-async does not cache a statement that is given as text, so none stays on the connection.
async fn served_by(conn: &mut AsyncPgConnection) -> ConnectionResult<Served> {
    let asked: QueryResult<Served> =
        conn.transaction(async |conn| sql_query(SERVED_BY).get_result(conn).await).await;
    asked.map_err(CouldntSetupConfiguration)
}
