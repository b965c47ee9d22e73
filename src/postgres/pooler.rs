//! Whether a pooler stands before the server that loses what a connection prepares.
//!
//! diesel-async prepares every statement by name. A pooler in transaction mode lends a connection of the server for one
//! transaction. The next call can get a connection without the name, or one on which another client uses the name. A pooler
//! that keeps track of the names is welcome, as PgBouncer is from 1.21 on with `max_prepared_statements`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::ConnectionError::{BadConnection, CouldntSetupConfiguration};
use diesel::result::DatabaseErrorKind::Unknown;
use diesel::result::Error::DatabaseError;
use diesel::sql_types::{Bool, Integer};
use diesel::{ConnectionResult, QueryResult, QueryableByName, sql_query};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use tokio::time::{sleep, timeout};

use super::backend_key::process_at_login;
use super::connector::Connector;
use super::set_up;
use crate::error::Error;
use crate::options::ConnectionSettings;

/// How often a connection is asked which process serves it: first alone and then in turn with another one. An idle pooler is
/// found out by two questions to the one and then one to the other. The other questions are for a busy pooler, which lends
/// its processes by chance.
const QUESTIONS: usize = 4;

/// How long the second connection may take. A pooler in session mode may have none left: that is no reason to refuse it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two attempts to get a connection that a busy pooler has not mixed up.
const PAUSE: Duration = Duration::from_millis(10);

/// The poolers before the servers of a store.
#[derive(Clone, Default)]
pub(crate) struct Poolers {
    /// Why the last connection was refused, if it was.
    refused: Arc<Mutex<Option<Refused>>>,
    /// By the number of the host, the result of the look at its first connection. Refused ones are not here.
    seen: Arc<Mutex<HashMap<usize, Seen>>>,
}

#[derive(Clone, Copy)]
enum Refused {
    LosesStatements,
    LeaksSchema,
}

/// A pooler, or none.
#[derive(Clone, Copy)]
enum Seen {
    /// Each connection has its own process.
    OwnProcess,
    /// The pooler lends a process for a transaction, and keeps track of prepared statements.
    KeepsStatements,
    /// The pooler lends a process for a transaction, and keeps track of nothing.
    LosesStatements,
}

impl Poolers {
    /// Opens a connection, looks for a pooler with the first one to each host, and sets the connection up. In transaction
    /// mode it sends no setting, which would reach one of the pooler's connections and stay there.
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

    /// Why the last connection was refused, if a pooler is the reason: another attempt is no use.
    ///
    /// [`Error::TransactionPooler`]; [`Error::Configuration`] for a schema, which would leak to the pooler's other clients.
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

/// Establishes a connection. A busy pooler may run the first statements of diesel-async on another connection of the server
/// than it prepared them on. They then fail, and this tries again.
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

/// The first connection to an address, which may take `limit` in all.
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
    let another = established(connector, patience);
    let seen = match timeout(patience, is_lent(&mut conn, first.process, another)).await {
        Ok(Ok(true)) => Seen::LosesStatements,
        // There may be no connection left for a second one.
        Ok(Ok(false) | Err(BadConnection(_))) | Err(_) => Seen::OwnProcess,
        Ok(Err(failed)) => return Err(failed),
    };
    Ok((conn, seen))
}

/// Whether the connection, and another to the same address, are served now by one process and now by another.
///
/// A connection to the server itself has one process until its end, and so has one through a pooler in session mode. So if a
/// connection had two processes, or two open connections had the same one, then a pooler lends them for a transaction. A
/// busy pooler can hide that by chance.
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
    let mut another = another.await?;
    let others = served_by(&mut another).await?.process;
    for _ in 0..QUESTIONS {
        let now = (served_by(conn).await?.process, served_by(&mut another).await?.process);
        if others == process || now != (process, others) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Who serves a connection, for the time of a transaction.
#[derive(QueryableByName)]
struct Served {
    #[diesel(sql_type = Integer)]
    process: i32,
    /// Whether a statement of this connection has another name there than the client gave it.
    #[diesel(sql_type = Bool)]
    is_renamed: bool,
}

/// Looks for its own statement by the comment in it. tokio-postgres names the statements `s0`, `s1` and so on.
const SERVED_BY: &str = "SELECT pg_catalog.pg_backend_pid() AS process, \
    EXISTS (SELECT FROM pg_catalog.pg_prepared_statements \
            WHERE statement OPERATOR(pg_catalog.~~) '%/* diesel-session looks for a pooler */%' \
            AND name OPERATOR(pg_catalog.!~) '^s[0-9]+$') AS is_renamed \
    /* diesel-session looks for a pooler */";

/// Within a transaction no pooler changes the process between preparing and running a statement. A statement by its text is
/// not kept for later, so none of it is left behind.
async fn served_by(conn: &mut AsyncPgConnection) -> ConnectionResult<Served> {
    let asked: QueryResult<Served> =
        conn.transaction(async |conn| sql_query(SERVED_BY).get_result(conn).await).await;
    asked.map_err(CouldntSetupConfiguration)
}
