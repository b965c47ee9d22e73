//! The database that the command works on.

use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(any(feature = "mysql", feature = "postgres"))]
use chrono::TimeDelta;
#[cfg(feature = "mysql")]
use diesel::MysqlConnection;
#[cfg(feature = "postgres")]
use diesel::PgConnection;
#[cfg(feature = "sqlite")]
use diesel::SqliteConnection;
#[cfg(feature = "sqlite")]
use diesel::connection::SimpleConnection as _;
use diesel::r2d2::{ConnectionManager, PooledConnection};
#[cfg(feature = "sqlite")]
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError, Pool};
#[cfg(feature = "postgres")]
use diesel_session::ConnectOptions;
use diesel_session::{DieselSession, KeyStorage, SessionConnection, SessionTable};

use crate::arguments::DatabaseArguments;
use crate::failure::Failure;
use crate::inspect::Inspect;
#[cfg(feature = "postgres")]
use crate::inspect::is_lent;

/// A database, by the kind of its connections.
pub(crate) enum Database {
    #[cfg(feature = "mysql")]
    Mysql(Target<MysqlConnection>),
    #[cfg(feature = "postgres")]
    Postgres(Target<PgConnection>),
    #[cfg(feature = "sqlite")]
    Sqlite(Target<SqliteConnection>),
}

/// The use of the database. Failures name its variable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The sessions. An SQLite file may be created.
    Creation,
    /// The sessions.
    Sessions,
    /// The table of another store.
    Source,
}

impl Purpose {
    fn variable(self) -> &'static str {
        if self == Self::Source { "SOURCE_DATABASE_URL" } else { "DATABASE_URL" }
    }
}

/// How long one statement may take, unless the operator says more.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The table of the sessions, and the store that uses it.
pub(crate) struct Target<C: SessionConnection> {
    pub(crate) store: DieselSession<C>,
    pub(crate) table: SessionTable,
}

impl<C: Inspect> Target<C> {
    /// Returns the store's connection. There is only one.
    pub(crate) fn connection(&self) -> Result<PooledConnection<ConnectionManager<C>>, Failure> {
        self.store.pool().get().map_err(|error| Failure::refused(format!("no connection: {error}")))
    }
}

impl Database {
    pub(crate) fn connect(arguments: &DatabaseArguments, purpose: Purpose) -> Result<Self, Failure> {
        let variable = purpose.variable();
        let Some(url) = arguments.url() else {
            return Err(Failure::refused(format!(
                "no database: set {variable} to a URL of PostgreSQL or MariaDB, or to the path of an SQLite file"
            )));
        };
        match Kind::of(url) {
            Kind::Mysql => Self::mysql(url, arguments),
            Kind::Postgres => Self::postgres(url, arguments),
            Kind::Sqlite(file) => Self::sqlite(url, &file, arguments, purpose),
            // It may hold a password, so it is not shown.
            Kind::Unknown => Err(Failure::refused(format!(
                "the address is neither a URL of PostgreSQL or MariaDB nor the path of an SQLite file: check {variable}"
            ))),
        }
    }

    #[cfg(feature = "mysql")]
    fn mysql(url: &str, arguments: &DatabaseArguments) -> Result<Self, Failure> {
        arguments.refuse_those_of_postgres()?;
        let storage = key_storage(arguments);
        let builder = DieselSession::<MysqlConnection>::builder().key_storage(storage);
        let builder = builder.statement_timeout(timeout(arguments)?).pool_size(1);
        let table = SessionTable::new().key_storage(storage);
        Ok(Self::Mysql(Target { store: builder.connect(url)?, table }))
    }

    #[cfg(not(feature = "mysql"))]
    fn mysql(_url: &str, _arguments: &DatabaseArguments) -> Result<Self, Failure> {
        Err(Failure::refused("this command was built without MariaDB: install it with the feature `mysql`"))
    }

    #[cfg(feature = "postgres")]
    fn postgres(url: &str, arguments: &DatabaseArguments) -> Result<Self, Failure> {
        let (storage, timeout) = (key_storage(arguments), timeout(arguments)?);
        let builder = DieselSession::<PgConnection>::builder().key_storage(storage);
        let builder = builder.statement_timeout(timeout).pgbouncer(arguments.pgbouncer);
        let mut builder = builder.pool_size(1);
        let mut table = SessionTable::new().key_storage(storage);
        if let Some(schema) = &arguments.schema {
            (builder, table) = (builder.schema(schema), table.schema(schema));
        }
        if let Some(owner) = &arguments.table_owner {
            (builder, table) = (builder.table_owner(owner), table.table_owner(owner));
        }
        // The store respects a limit of the role. The operator's own word counts more, on each connection.
        let limit = arguments.timeout.map(|_| format!("-c statement_timeout={}", timeout.num_milliseconds()));
        let store = match limit {
            None => builder.connect(url)?,
            Some(_) if url.contains("options") => {
                return Err(Failure::refused(
                    "the address has options: add `-c statement_timeout=…` to them, and leave --timeout out",
                ));
            }
            Some(limit) => builder.connect_with(&ConnectOptions::new().options(&limit).conninfo(url)?)?,
        };
        Ok(Self::Postgres(Target { store, table }))
    }

    #[cfg(not(feature = "postgres"))]
    fn postgres(_url: &str, _arguments: &DatabaseArguments) -> Result<Self, Failure> {
        Err(Failure::refused(
            "this command was built without PostgreSQL: install it with the feature `postgres`",
        ))
    }

    #[cfg(feature = "sqlite")]
    fn sqlite(
        url: &str,
        file: &Path,
        arguments: &DatabaseArguments,
        purpose: Purpose,
    ) -> Result<Self, Failure> {
        arguments.refuse_those_of_postgres()?;
        let creates = purpose == Purpose::Creation;
        if !creates && !file.is_file() {
            let creation = match purpose {
                Purpose::Source => "",
                _ => ", or create it with `diesel-session migrate`",
            };
            return Err(Failure::refused(format!(
                "there is no SQLite file {}: check {}{creation}",
                file.display(),
                purpose.variable()
            )));
        }
        let storage = key_storage(arguments);
        let builder = DieselSession::<SqliteConnection>::builder().key_storage(storage);
        let table = SessionTable::new().key_storage(storage);
        if creates {
            return Ok(Self::Sqlite(Target { store: builder.connect(url)?, table }));
        }
        // The library's own pool would switch the file to WAL, and the other commands have no business with that.
        let pool = Pool::builder().max_size(1).connection_timeout(Duration::from_secs(5));
        let pool = pool.connection_customizer(Box::new(BusyTimeout(arguments.timeout.unwrap_or(TIMEOUT))));
        let pool = pool.build(ConnectionManager::new(url));
        let pool =
            pool.map_err(|error| Failure::refused(format!("{} cannot be opened: {error}", file.display())))?;
        Ok(Self::Sqlite(Target { store: builder.over(pool)?, table }))
    }

    #[cfg(not(feature = "sqlite"))]
    fn sqlite(
        _url: &str,
        _file: &Path,
        _arguments: &DatabaseArguments,
        _purpose: Purpose,
    ) -> Result<Self, Failure> {
        Err(Failure::refused("this command was built without SQLite: install it with the feature `sqlite`"))
    }
}

/// The kind of an address.
enum Kind {
    /// A URL.
    Mysql,
    /// A URL, or a string of keywords.
    Postgres,
    /// A path, or a URI of SQLite; and the file that it names.
    Sqlite(PathBuf),
    Unknown,
}

impl Kind {
    fn of(url: &str) -> Self {
        let path = ["sqlite://", "file://", "file:"].iter().find_map(|scheme| url.strip_prefix(scheme));
        if let Some(path) = path {
            return Self::Sqlite(path.split('?').next().unwrap_or(path).into());
        }
        if ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Self::Postgres;
        }
        if url.starts_with("mysql://") {
            return Self::Mysql;
        }
        // The name of a file can have any form.
        if Path::new(url).is_file() {
            return Self::Sqlite(url.into());
        }
        if url.contains("://") || url.contains('@') {
            return Self::Unknown;
        }
        if url.contains('=') { Self::Postgres } else { Self::Sqlite(url.into()) }
    }
}

/// Whether a pooler lends the server's connections for one transaction at a time. This sends no setting, because a setting
/// would reach the pooler's other clients.
#[cfg(feature = "postgres")]
pub(crate) fn is_behind_pooler(arguments: &DatabaseArguments) -> Result<bool, Failure> {
    let Some(url) = arguments.url().filter(|url| matches!(Kind::of(url), Kind::Postgres)) else {
        return Ok(false);
    };
    let store = DieselSession::<PgConnection>::builder().pgbouncer(true).pool_size(2).connect(url)?;
    let (mut one, pool) = (store.pool().get(), store.pool());
    // The role may be allowed only one connection.
    let other = pool.get_timeout(Duration::from_secs(2));
    Ok(one.as_mut().ok().zip(other.ok()).is_some_and(|(one, mut other)| is_lent(one, &mut other)))
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
fn timeout(arguments: &DatabaseArguments) -> Result<TimeDelta, Failure> {
    TimeDelta::from_std(arguments.timeout.unwrap_or(TIMEOUT))
        .map_err(|_| Failure::refused("--timeout is too long: use at most 1day"))
}

impl DatabaseArguments {
    /// Refuses options that other databases do not have. --pgbouncer may be for the other database of an import.
    #[cfg(any(feature = "mysql", feature = "sqlite"))]
    fn refuse_those_of_postgres(&self) -> Result<(), Failure> {
        for (given, option) in [(&self.schema, "--schema"), (&self.table_owner, "--table-owner")] {
            if given.is_some() {
                return Err(Failure::refused(format!("{option} is for PostgreSQL only: leave it out")));
            }
        }
        Ok(())
    }

    fn url(&self) -> Option<&str> {
        self.database_url.as_deref().filter(|url| !url.is_empty())
    }
}

fn key_storage(arguments: &DatabaseArguments) -> KeyStorage {
    if arguments.plain_keys { KeyStorage::Plain } else { KeyStorage::Hashed }
}

/// How long a connection waits for the lock of another.
#[cfg(feature = "sqlite")]
#[derive(Debug)]
struct BusyTimeout(Duration);

#[cfg(feature = "sqlite")]
impl CustomizeConnection<SqliteConnection, ConnectionError> for BusyTimeout {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), ConnectionError> {
        Ok(conn.batch_execute(&format!("PRAGMA busy_timeout = {}", self.0.as_millis()))?)
    }
}
